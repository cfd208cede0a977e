/* crtool check: this kernel, or (-t PID) one process tree, which is not stopped. */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "cli/options.h"
#include "cli/probe.h"
#include "dump/dump.h"
#include "restore/foresee.h"

static void probe_print(const struct probe *p, int r)
{
	if (r == 0)
		printf("%-24s ok\n", p->name);
	else
		printf("%-24s missing (%s): %s\n", p->name, strerror(-r), p->cost);
}

static struct json_object *probe_json(const struct probe *p, int r)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "name", json_object_new_string(p->name));
	json_object_object_add(o, "ok", json_object_new_boolean(r == 0));
	json_object_object_add(o, "needed", json_object_new_boolean(p->needed));
	if (r < 0) {
		json_object_object_add(o, "error", json_object_new_string(strerror(-r)));
		json_object_object_add(o, "cost", json_object_new_string(p->cost));
	}
	return o;
}

static void report_json(struct json_object *list)
{
	struct json_object *report = json_object_new_object();

	json_object_object_add(report, "result", json_object_new_string("ok"));
	json_object_object_add(report, "code", json_object_new_int(0));
	json_object_object_add(report, "checks", list);
	json_object_object_add(report, "not_carried", json_object_new_array());
	printf("%s\n", json_object_to_json_string_ext(report, JSON_C_TO_STRING_PLAIN));
	json_object_put(report);
}

/* A needed ability that is missing: for want of rights, or for good? */
static int probe_fail(const struct probe *p, int r)
{
	if (r == -EPERM || r == -EACCES)
		return fail(r, "%s: %s", p->name, p->cost);
	return fail(-ENOTSUP, "%s: %s: %s", p->name, p->cost, strerror(-r));
}

static int check_kernel(const struct options *o)
{
	struct json_object *list = json_object_new_array();
	int result = 0;

	for (const struct probe *p = probes; p < probes + nprobes; p++) {
		int r = p->try();

		if (o->json)
			json_object_array_add(list, probe_json(p, r));
		else
			probe_print(p, r);
		if (r < 0 && p->needed && result == 0)
			result = probe_fail(p, r);
	}
	if (o->json && result == 0)
		report_json(list);
	else
		json_object_put(list);
	return result;
}

static int check_tree(const struct options *o)
{
	struct dump_options opt = {
		.tree = o->tree,
		.dir = ".",
		.timeout_ms = o->timeout_ms,
		.all = true,
		.tcp = o->tcp_established ? TCP_CARRIED
		       : o->tcp_close     ? TCP_LET_GO
		                          : TCP_REFUSED,
		.on_unknown_fd = o->on_unknown_fd,
		.external = o->external,
		.ext_unix = o->ext_unix,
		.ghost_limit = o->ghost_limit,
		.foresee = restore_foresee,
	};
	int r = sysv_policy(o->sysv, &opt.sysv);
	if (r == 0)
		r = ext_pipe_parse(o->ext_pipe, &opt.ext_pipe);
	if (r == 0)
		r = netlink_queue_parse(o->netlink_queue, &opt.drain_netlink);

	if (r == 0)
		r = dump_check(&opt);
	if (r < 0)
		return r;
	if (r > 0)
		return fail(-ENOTSUP, "task %d: cannot be saved: %d obstacle%s", (int)o->tree, r,
		            r == 1 ? "" : "s");
	if (o->json)
		report_json(json_object_new_array());
	else
		printf("task %d: can be saved\n", (int)o->tree);
	return 0;
}

int command_check(const struct options *o, int *ret_status)
{
	return o->tree ? check_tree(o) : check_kernel(o);
}
