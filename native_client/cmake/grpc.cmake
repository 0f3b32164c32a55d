# The target `townsfolk_grpc`: gRPC and protobuf to link, and `PROTOC` and `GRPC_CPP_PLUGIN`, the tools that make stubs.
#
# vcpkg's CMake packages are static with its `*-static` triplets and are used as they are. Distributions' packages name
# their shared libraries, so there the archives beside them are linked.

find_package(Threads REQUIRED)
find_package(Protobuf CONFIG QUIET)
find_package(gRPC CONFIG QUIET)
set(grpc_type)
if(gRPC_FOUND)
  get_target_property(grpc_type gRPC::grpc++ TYPE)
endif()

add_library(townsfolk_grpc INTERFACE)

if(Protobuf_FOUND AND grpc_type MATCHES "STATIC|INTERFACE")
  target_link_libraries(townsfolk_grpc INTERFACE protobuf::libprotobuf
                                                 $<IF:$<BOOL:${TOWNSFOLK_TLS}>,gRPC::grpc++,gRPC::grpc++_unsecure>)
  set(PROTOC $<TARGET_FILE:protobuf::protoc>)
  set(GRPC_CPP_PLUGIN $<TARGET_FILE:gRPC::grpc_cpp_plugin>)
else()
  find_program(PROTOC protoc REQUIRED)
  find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)
  if(TOWNSFOLK_SANITIZE)
    # Sanitizers can pass over code that was not built for them only where that is in libraries of its own.
    target_link_libraries(townsfolk_grpc INTERFACE grpc++_unsecure grpc_unsecure gpr protobuf absl_strings absl_cord
                                                   absl_synchronization Threads::Threads)
  else()
    include(cmake/archives.cmake)
  endif()
endif()
