/* SysV objects of victims: they are noted in the file "sysv", so that the test removes what is left. */
#pragma once

#include <stdio.h>

#include "zdtm.h"

/* TYPE: of ipcrm(1), 'm', 's' or 'q'. */
static inline int sysv_note(char type, int id)
{
	FILE *f = fopen("sysv", "a");

	check(id >= 0 && f);
	check(fprintf(f, "-%c %d\n", type, id) > 0 && fclose(f) == 0);
	return id;
}
