#!/bin/sh
# No two files define types of one name in namespace t2v: the linker would keep one destructor for both and say
# nothing. Types in unnamed namespaces and types within types do not count. Functions need no such check: libt2v
# holds all rooms but cli, and a second function of one name and signature does not link.
set -eu
cd "$1"
find include src -name '*.h' -o -name '*.cpp' | sort | xargs awk '
  FNR == 1 { unnamed = 0 }
  /^namespace [{]/ { unnamed = 1 }
  /^[}]  \/\/ namespace$/ { unnamed = 0 }
  unnamed || !/^(struct|class|union|enum) / || /^[^{]*;$/ { next }
  {
    sub(/ class | T2V_API /, " ")
    name = $2
    ++types
    if (name in file && file[name] != FILENAME) {
      print "two types are called t2v::" name ": " file[name] " and " FILENAME
      twice = 1
    }
    file[name] = FILENAME
  }
  END {
    print types + 0 " types"
    exit twice || types < 100
  }'
