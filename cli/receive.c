/* crtool receive: the other side of a migration */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "cli/policies.h"
#include "migrate/migrate.h"

int command_receive(const struct options *o, int *ret_status)
{
	const char *tmp = getenv("TMPDIR");
	struct restore_options opt;
	int r = restore_policies(o, &opt);

	/* Not given: it is no directory of the caller's that is filled. */
	return r < 0 ? r
	             : migrate_receive(strcmp(o->dir, ".") ? o->dir
	                               : tmp               ? tmp
	                                                   : "/var/tmp",
	                               &opt);
}
