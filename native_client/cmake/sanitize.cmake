if(TOWNSFOLK_SANITIZE)
  # quick enough to run the tests' load, with line numbers in the reports
  add_compile_options(-fsanitize=${TOWNSFOLK_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -O1 -g1)
  add_link_options(-fsanitize=${TOWNSFOLK_SANITIZE})
endif()
