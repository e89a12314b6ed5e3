/* The first packets of an SSH server, in pieces: the first byte says how large. What may pass grows only by what was looked at. */
#include <assert.h>
#include <string.h>

#include "ssh/kexgate.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello whole = { .want = "kex-strict-s-v00@openssh.com" }, h = whole;
	CLEANUP_BUF struct buf held = BUF_INIT;
	size_t i, n, step, pass;

	if (size == 0)
		return 0;
	step = (size_t)data[0] + 1;
	for (i = 1; i < size; i += n) {
		n = size - i < step ? size - i : step;
		buf_add(&held, data + i, n);
		pass = hello_look(&h, held.data, held.len);
		assert(pass <= held.len);
		assert(h.state != HELLO_STRICT || pass == held.len);
		buf_consume(&held, pass);
	}
	/* At once it is the same, but where the limit of lines is met. */
	(void)hello_look(&whole, (const char *)data + 1, size - 1);
	assert(whole.state == h.state || h.state == HELLO_BAD || whole.state == HELLO_BAD);
	assert(strlen(h.version) < sizeof(h.version));
	return 0;
}
