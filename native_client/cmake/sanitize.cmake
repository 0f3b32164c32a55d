if(TOWNSFOLK_SANITIZE)
  add_compile_options(-fsanitize=${TOWNSFOLK_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TOWNSFOLK_SANITIZE})
endif()
