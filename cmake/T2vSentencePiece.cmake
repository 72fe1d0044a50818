# t2v::sentencepiece: the static library that tools/quickstart builds from the source distribution (0.2.1 or newer: 0.1.97 crashes on hostile models, CVE-2026-1260).
if(NOT SentencePiece_ROOT)
  file(GLOB _candidates ${T2V_CACHE}/sentencepiece-*)
  list(SORT _candidates COMPARE NATURAL ORDER DESCENDING)
  if(_candidates)
    list(GET _candidates 0 SentencePiece_ROOT)
  endif()
endif()
if(NOT EXISTS "${SentencePiece_ROOT}/lib/libsentencepiece.a")
  message(FATAL_ERROR "sentencepiece was not found (SentencePiece_ROOT='${SentencePiece_ROOT}'). Run tools/quickstart, which builds it.")
endif()
add_library(t2v::sentencepiece STATIC IMPORTED GLOBAL)
set_target_properties(t2v::sentencepiece PROPERTIES
  IMPORTED_LOCATION ${SentencePiece_ROOT}/lib/libsentencepiece.a
  INTERFACE_INCLUDE_DIRECTORIES ${SentencePiece_ROOT}/include)
