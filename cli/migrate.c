/* crtool migrate: a tree moves to another machine; crtool receive is what runs there */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "cli/policies.h"
#include "lib/cleanup.h"
#include "migrate/migrate.h"

#define DOWNTIME_MS 100
#define ROUNDS_MAX  60
#define ROUNDS      8

/* "100ms", "2s". */
static int duration_parse(const char *text, unsigned *ret_ms)
{
	char *unit;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &unit, 10);
	if (errno || unit == text || *text == '-' || n > 1000000 ||
	    (strcmp(unit, "ms") != 0 && strcmp(unit, "s") != 0))
		return fail(-EINVAL, "migrate: --downtime %s: is no time like 100ms or 2s", text);
	*ret_ms = (unsigned)n * (*unit == 's' ? 1000 : 1);
	return 0;
}

static int rounds_parse(const char *text, unsigned *ret)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || n < 2 || n > ROUNDS_MAX)
		return fail(-EINVAL, "migrate: --max-rounds %s: is no number from 2 to %d", text,
		            ROUNDS_MAX);
	*ret = (unsigned)n;
	return 0;
}

int command_migrate(const struct options *o, int *ret_status)
{
	struct migration m = { .to = o->to ? o->to : "the receiver",
		               .via = o->via,
		               .receiver = o->receiver ? o->receiver : "crtool receive --lazy",
		               .downtime_ms = DOWNTIME_MS,
		               .post_copy = o->post_copy,
		               .max_rounds = ROUNDS };
	struct dump_options opt;
	int r = dump_policies(o, "migrate", &opt);

	if (r == 0 && !o->to && !o->via)
		r = fail(-EINVAL, "migrate: where to? Use --to HOST, or --via COMMAND");
	/* ssh would take it for an option. */
	if (r == 0 && o->to && *o->to == '-')
		r = fail(-EINVAL, "migrate: --to %s: is no host", o->to);
	if (r == 0 && o->via && o->receiver)
		r = fail(-EINVAL, "migrate: --receiver is for ssh; --via is the whole command");
	if (r == 0 && o->downtime)
		r = duration_parse(o->downtime, &m.downtime_ms);
	if (r == 0 && o->max_rounds)
		r = rounds_parse(o->max_rounds, &m.max_rounds);
	return r < 0 ? r : migrate_send(&m, &opt);
}
