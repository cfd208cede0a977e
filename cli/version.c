/* crtool version */
#include "lib/version.h"

#include "cli/options.h"

int command_version(const struct options *o, int *ret_status)
{
	printf("crtool %s\n", CRTOOL_VERSION);
	return 0;
}
