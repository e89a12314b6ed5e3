# The executor for this machine's own architecture: base, module and exec
# compiled once more with musl, one object at a time (so that make rebuilds
# only what changed), linked statically, stripped, embedded.
#
# Debian's libraries (PCRE2, BearSSL, compression) are built against glibc, but use nothing of it that
# musl lacks except the checking functions of FORTIFY (compat_musl.c).  Their
# headers are copied alone: glibc's own must stay out of musl's sight.
find_program(MUSL_GCC musl-gcc)
if(NOT MUSL_GCC)
	message(FATAL_ERROR "musl-gcc is missing: apt-get install musl-tools")
endif()
find_program(STRIP_TOOL strip REQUIRED)
find_library(PCRE2_STATIC libpcre2-8.a REQUIRED)
find_library(BEARSSL_STATIC libbearssl.a REQUIRED)
find_library(CRYPT_STATIC libcrypt.a REQUIRED)
find_path(PCRE2_HEADERS pcre2.h REQUIRED)
find_path(BEARSSL_HEADERS bearssl.h REQUIRED)
# Formats of archives (module/unpack.c).
set(COMPRESSION_STATIC)
foreach(name z bz2 lzma zstd)
	find_library(STATIC_${name} lib${name}.a REQUIRED)
	list(APPEND COMPRESSION_STATIC ${STATIC_${name}})
endforeach()
find_path(COMPRESSION_HEADERS lzma.h REQUIRED)
find_path(LINUX_HEADERS linux/fs.h REQUIRED)
find_path(LINUX_ASM_HEADERS asm/types.h PATHS /usr/include/${CMAKE_LIBRARY_ARCHITECTURE} REQUIRED)

set(executor_arch ${CMAKE_SYSTEM_PROCESSOR})
set(executor_dir ${CMAKE_CURRENT_BINARY_DIR}/musl)
set(executor_file ${executor_dir}/executor-${executor_arch})
set(executor_include ${executor_dir}/include)
file(MAKE_DIRECTORY ${executor_include})
file(COPY ${PCRE2_HEADERS}/pcre2.h ${BEARSSL_HEADERS}/bearssl.h DESTINATION ${executor_include})
foreach(name zlib.h bzlib.h lzma.h zstd.h zstd_errors.h)
	if(EXISTS ${COMPRESSION_HEADERS}/${name})
		file(COPY ${COMPRESSION_HEADERS}/${name} DESTINATION ${executor_include})
	endif()
endforeach()
file(COPY ${COMPRESSION_HEADERS}/lzma DESTINATION ${executor_include})
find_path(ZCONF_HEADERS zconf.h PATHS /usr/include/${CMAKE_LIBRARY_ARCHITECTURE} REQUIRED)
file(COPY ${ZCONF_HEADERS}/zconf.h DESTINATION ${executor_include})
if(EXISTS ${BEARSSL_HEADERS}/bearssl)
	file(COPY ${BEARSSL_HEADERS}/bearssl DESTINATION ${executor_include})
endif()
# The kernel's headers are of no C library.
foreach(pair ${LINUX_HEADERS}/linux ${LINUX_HEADERS}/asm-generic ${LINUX_HEADERS}/mtd
    ${LINUX_ASM_HEADERS}/asm)
	get_filename_component(name ${pair} NAME)
	if(EXISTS ${pair})
		file(CREATE_LINK ${pair} ${executor_include}/${name} SYMBOLIC)
	endif()
endforeach()

set(executor_flags -std=c17 -Os -g0 -D_GNU_SOURCE -DPROVCTL_VERSION="${PROJECT_VERSION}"
	-DPROVCTL_EXECUTOR -I${PROJECT_SOURCE_DIR}/agentd -isystem ${executor_include}
	-ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
	-fstack-protector-strong -fno-strict-aliasing -fno-pie
	-Wall -Wextra -Wno-format-truncation)
file(GLOB executor_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/agentd/base/*.c
	${PROJECT_SOURCE_DIR}/agentd/module/*.c ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
set(executor_objects)
foreach(source ${executor_sources})
	file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR}/agentd ${source})
	string(REPLACE "/" "-" name ${name})
	set(object ${executor_dir}/${name}.o)
	add_custom_command(OUTPUT ${object}
		COMMAND ${MUSL_GCC} ${executor_flags} -MD -MF ${object}.d -MT ${object}
			-c ${source} -o ${object}
		DEPENDS ${source}
		DEPFILE ${object}.d
		COMMENT "Building executor object ${name}"
		VERBATIM)
	list(APPEND executor_objects ${object})
endforeach()

add_custom_command(OUTPUT ${executor_file} ${executor_file}.debug
	COMMAND ${MUSL_GCC} -static -no-pie -Os -Wl,--gc-sections -Wl,-z,relro,-z,now
		-Wl,-z,noexecstack -Wl,--build-id=none -o ${executor_file}.debug
		${executor_objects} ${PCRE2_STATIC} ${BEARSSL_STATIC}
		${COMPRESSION_STATIC} ${CRYPT_STATIC} -lm
	COMMAND ${STRIP_TOOL} -s -o ${executor_file} ${executor_file}.debug
	DEPENDS ${executor_objects}
	COMMENT "Linking the executor for ${executor_arch}"
	VERBATIM)
add_custom_command(OUTPUT ${executor_dir}/image.c
	COMMAND ${CMAKE_COMMAND} -DIMAGE=${executor_file} -DARCH=${executor_arch}
		-DOUTPUT=${executor_dir}/image.c -P ${CMAKE_CURRENT_SOURCE_DIR}/image.cmake
	DEPENDS ${executor_file} ${CMAKE_CURRENT_SOURCE_DIR}/image.cmake
	COMMENT "Embedding the executor"
	VERBATIM)
add_custom_target(executor_program DEPENDS ${executor_file})
add_library(executor STATIC ${executor_dir}/image.c)
# One target makes the objects: make would run the rules once for each target that names
# their outputs, side by side.
add_dependencies(executor executor_program)
target_link_libraries(executor PUBLIC provctl_flags)
set(PROVCTL_EXECUTOR ${executor_file} CACHE INTERNAL "the static executor")
