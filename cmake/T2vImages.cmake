# t2v_embed_images(TARGET SYMBOL FILE...): puts files into a library as they are, so that the program needs no
# path to find them. In C++:
#   extern "C" const unsigned char SYMBOL[];    // the table: uint32 count, then per file the uint32 offsets of
#                                               // its name (without extension), its first and its last byte + 1
function(t2v_embed_images target symbol)
  set(table "  .long ${ARGC} - 2\n")
  set(contents "")
  set(i 0)
  foreach(path IN LISTS ARGN)
    get_filename_component(name ${path} NAME_WE)
    string(APPEND table "  .long .Lname${i} - ${symbol}, .Lfile${i} - ${symbol}, .Lend${i} - ${symbol}\n")
    string(APPEND contents ".Lname${i}: .asciz \"${name}\"\n.Lfile${i}: .incbin \"${path}\"\n.Lend${i}:\n")
    math(EXPR i "${i} + 1")
  endforeach()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.S)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT "  .section .rodata
  .global @symbol@
  .hidden @symbol@
  .balign 4
@symbol@:
@table@@contents@  .section .note.GNU-stack,\"\",%progbits
")
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS "${ARGN}")
  target_sources(${target} PRIVATE ${source})
endfunction()
