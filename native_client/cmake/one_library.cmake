# Makes `townsfolk_client` one file that shows `townsfolk_*` and nothing else, so that no other copy of gRPC, protobuf
# or abseil in the game's process can meet the one in here.

if(APPLE)
  target_link_options(townsfolk_client PRIVATE -Wl,-dead_strip
                      -Wl,-exported_symbols_list,${CMAKE_CURRENT_LIST_DIR}/exports.txt)
elseif(NOT WIN32)
  target_link_options(townsfolk_client PRIVATE -Wl,--gc-sections -Wl,--exclude-libs,ALL
                      -Wl,--version-script,${CMAKE_CURRENT_LIST_DIR}/exports.map)
  if(NOT TOWNSFOLK_SANITIZE) # whose runtime is found only when the program starts
    # games bring a C++ runtime of their own, or run where there is none
    target_link_options(townsfolk_client PRIVATE -Wl,--no-undefined -static-libstdc++ -static-libgcc
                        $<$<CONFIG:Release>:-s>)
  endif()
endif()
