# The target `townsfolk_grpc`: gRPC and protobuf to link statically, and the tools that make stubs.
#
# vcpkg's CMake packages are static with its `*-static` triplets. Debian's name the shared libraries, so there the
# archives beside them are linked by their names.

find_package(Threads REQUIRED)
add_library(townsfolk_grpc INTERFACE)

find_package(Protobuf CONFIG QUIET)
find_package(gRPC CONFIG QUIET)
if(gRPC_FOUND)
  get_target_property(grpc_type gRPC::grpc++ TYPE)
endif()

if(gRPC_FOUND AND Protobuf_FOUND AND NOT grpc_type STREQUAL "SHARED_LIBRARY")
  target_link_libraries(townsfolk_grpc INTERFACE protobuf::libprotobuf
                                                 $<IF:$<BOOL:${TOWNSFOLK_TLS}>,gRPC::grpc++,gRPC::grpc++_unsecure>)
  set(PROTOC $<TARGET_FILE:protobuf::protoc>)
  set(GRPC_CPP_PLUGIN $<TARGET_FILE:gRPC::grpc_cpp_plugin>)
else()
  find_program(PROTOC protoc REQUIRED)
  find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)
  if(TOWNSFOLK_TLS)
    set(names grpc++ grpc gpr address_sorting upb re2 cares z protobuf ssl crypto)
  else()
    set(names grpc++_unsecure grpc_unsecure gpr address_sorting upb re2 cares z protobuf)
  endif()
  set(archives)
  foreach(name ${names})
    find_library(archive_${name} "lib${name}.a" REQUIRED)
    list(APPEND archives "${archive_${name}}")
  endforeach()
  get_filename_component(archive_folder "${archive_gpr}" DIRECTORY)
  file(GLOB abseil "${archive_folder}/libabsl_*.a")
  target_link_libraries(townsfolk_grpc INTERFACE -Wl,--start-group ${archives} ${abseil} -Wl,--end-group
                                                 Threads::Threads ${CMAKE_DL_LIBS} rt m)
endif()
