/* crtool help [COMMAND] */
#include "cli/options.h"

int command_help(const struct options *o, int *ret_status)
{
	return options_usage(o->topic, stdout);
}
