# The target `townsfolk_stubs`: messages and stubs, generated at build time from the one definition of the API.

set(api_root "${CMAKE_CURRENT_SOURCE_DIR}/../proto")
set(own_root "${CMAKE_CURRENT_SOURCE_DIR}/proto")
set(stub_root "${CMAKE_CURRENT_BINARY_DIR}/stubs")
file(MAKE_DIRECTORY "${stub_root}")

set(api_protos)
foreach(name common console daemon dialogue persona preview session story)
  list(APPEND api_protos "townsfolk/v1/${name}.proto")
endforeach()

set(stub_sources)
foreach(proto ${api_protos})
  string(REGEX REPLACE "\\.proto$" "" stem "${proto}")
  set(made "${stub_root}/${stem}.pb.cc" "${stub_root}/${stem}.grpc.pb.cc")
  add_custom_command(
    OUTPUT ${made}
    COMMAND ${PROTOC} --proto_path=${api_root} --cpp_out=${stub_root} --grpc_out=${stub_root}
            --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN} ${proto}
    DEPENDS "${api_root}/${proto}"
    VERBATIM)
  list(APPEND stub_sources ${made})
endforeach()

add_custom_command(
  OUTPUT "${stub_root}/foreign.pb.cc"
  COMMAND ${PROTOC} --proto_path=${own_root} --cpp_out=${stub_root} foreign.proto
  DEPENDS "${own_root}/foreign.proto"
  VERBATIM)
list(APPEND stub_sources "${stub_root}/foreign.pb.cc")

add_library(townsfolk_stubs STATIC ${stub_sources})
target_include_directories(townsfolk_stubs SYSTEM PUBLIC "${stub_root}")
target_link_libraries(townsfolk_stubs PUBLIC townsfolk_grpc)
if(NOT MSVC)
  target_compile_options(townsfolk_stubs PRIVATE -ffunction-sections -fdata-sections)
endif()
