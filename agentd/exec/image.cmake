# Writes the C file that embeds the executor: its bytes, its length, its hashes.
# One row per architecture; so far the build makes one.
file(SHA256 ${IMAGE} sha256)
execute_process(COMMAND b2sum -l 256 ${IMAGE} OUTPUT_VARIABLE blake2 COMMAND_ERROR_IS_FATAL ANY)
string(SUBSTRING "${blake2}" 0 64 blake2)
file(WRITE ${OUTPUT} "/* Made by image.cmake. */
#include <string.h>

#include \"exec/image.h\"

__asm__(
    \".section .rodata.executor, \\\"a\\\"\\n\"
    \".balign 16\\n\"
    \".globl executor_bytes\\n\"
    \".hidden executor_bytes\\n\"
    \"executor_bytes:\\n\"
    \".incbin \\\"${IMAGE}\\\"\\n\"
    \".globl executor_bytes_end\\n\"
    \".hidden executor_bytes_end\\n\"
    \"executor_bytes_end:\\n\"
    \".byte 0\\n\"
    \".previous\\n\");

extern const char executor_bytes[], executor_bytes_end[];

/* ${sha256} */
const void *
executor_image(const char *arch, size_t *ret_len, const char **ret_sha256)
{
	if (strcmp(arch, \"${ARCH}\") != 0)
		return NULL;
	*ret_len = (size_t)(executor_bytes_end - executor_bytes);
	*ret_sha256 = \"${sha256}\";
	return executor_bytes;
}

const char *
executor_blake2(const char *arch)
{
	return strcmp(arch, \"${ARCH}\") == 0 ? \"${blake2}\" : NULL;
}

const char *const executor_archs[] = { \"${ARCH}\", NULL };
")
