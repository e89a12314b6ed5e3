/*
 * What pages load from us: style sheet, script, icon; part of the program.
 */
#include "serve/page_private.h"

#ifndef PAGE_FOLDER
#error "PAGE_FOLDER: where page.css, page.js and page.svg are"
#endif

#define EMBED(name, file)						\
	__asm__(							\
	    ".pushsection .rodata\n"					\
	    #name "_text:\n"						\
	    ".incbin \"" PAGE_FOLDER "/" file "\"\n"			\
	    #name "_end:\n"						\
	    ".byte 0\n"							\
	    ".popsection\n");						\
	extern const char name##_text[] __attribute__((visibility("hidden")));	\
	extern const char name##_end[] __attribute__((visibility("hidden")))

EMBED(page_css, "page.css");
EMBED(page_js, "page.js");
EMBED(page_svg, "page.svg");

const struct page_file page_files[] = {
	{ "page.css", "text/css; charset=utf-8", page_css_text, page_css_end },
	{ "page.js", "text/javascript; charset=utf-8", page_js_text, page_js_end },
	{ "icon.svg", "image/svg+xml", page_svg_text, page_svg_end },
	{ NULL, NULL, NULL, NULL }
};
