/* How a dump and who brings memory (restore --lazy) know each other. */
#pragma once

/* The name of those who bring it. */
#define BRINGS_MEMORY "crtool-lazy"

/* On demand: a thread of this name that touches a page wants all of that address space, to save it. */
#define WANTS_ALL "crtool-dump"
