# Links the archives that a distribution ships beside its shared libraries of gRPC, protobuf and abseil.

set(names grpc++_unsecure grpc_unsecure gpr address_sorting upb re2 cares z protobuf)
if(TOWNSFOLK_TLS)
  set(names grpc++ grpc gpr address_sorting upb re2 cares z protobuf ssl crypto)
endif()
set(archives)
foreach(name ${names})
  find_library(archive_${name} "lib${name}.a" REQUIRED)
  list(APPEND archives "${archive_${name}}")
endforeach()
get_filename_component(archive_folder "${archive_gpr}" DIRECTORY)
file(GLOB abseil_archives "${archive_folder}/libabsl_*.a")
list(APPEND archives ${abseil_archives})

target_link_libraries(townsfolk_grpc INTERFACE -Wl,--start-group ${archives} -Wl,--end-group Threads::Threads
                                               ${CMAKE_DL_LIBS} rt m)

# Debian's archives are not position independent in all parts; see debian/README.md.
execute_process(COMMAND ${CMAKE_READELF} --relocs --wide "${archive_protobuf}" OUTPUT_VARIABLE relocations)
if(relocations MATCHES "R_X86_64_TPOFF32|R_AARCH64_TLSLE")
  set(replacements "${CMAKE_CURRENT_SOURCE_DIR}/debian")
  add_library(townsfolk_replacements OBJECT "${replacements}/abseil.cpp" "${replacements}/protobuf_arena.cpp"
                                            "${replacements}/standard_error.c")
  target_sources(townsfolk_grpc INTERFACE $<TARGET_OBJECTS:townsfolk_replacements>)
endif()
