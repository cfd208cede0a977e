/*
 * The command line: parse, run one command, report.
 *
 * Whatever happens, the last line on stderr says what failed, and with --json
 * one object on stdout says the same to machines. The exit code is that of the
 * class of the error (crtool(8), EXIT STATUS).
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/options.h"
#include "lib/caller.h"
#include "lib/cleanup.h"

#ifdef __SANITIZE_ADDRESS__
/* The guard of a dump traces crtool: LeakSanitizer, which would trace it, too, gives up then. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

enum exit_code {
	EXIT_OK,
	EXIT_INTERNAL,
	EXIT_USAGE,
	EXIT_NO_TARGET,
	EXIT_REFUSED,
	EXIT_RIGHTS,
	EXIT_BAD_IMAGES,
	EXIT_STORAGE,
	EXIT_CONFLICT,
	EXIT_TIMEOUT,
	EXIT_INTERRUPTED,
};

static enum exit_code exit_code_of(int r)
{
	switch (-r) {
	case 0:
		return EXIT_OK;
	case EINVAL:
		return EXIT_USAGE;
	case ESRCH:
		return EXIT_NO_TARGET;
	case ENOTSUP:
		return EXIT_REFUSED;
	case EPERM:
	case EACCES:
		return EXIT_RIGHTS;
	case EBADMSG:
	case ENOENT:
	case ENOTDIR:
		return EXIT_BAD_IMAGES;
	case ENOSPC:
	case EDQUOT:
	case EIO:
	case EROFS:
	case EFBIG:
	case EPIPE:
		return EXIT_STORAGE;
	case EEXIST:
	case EBUSY:
	case EADDRINUSE:
	case ENOTEMPTY:
		return EXIT_CONFLICT;
	case ETIMEDOUT:
		return EXIT_TIMEOUT;
	case EINTR:
		return EXIT_INTERRUPTED;
	default:
		return EXIT_INTERNAL;
	}
}

static const struct {
	int (*run)(const struct options *o, int *ret_status);
	bool own_json; /* prints its JSON itself, unless it fails */
} commands[COMMANDS] = {
#define COMMAND(name, summary)               \
	[COMMAND_##name] = { command_##name, \
		             COMMAND_##name == COMMAND_show || COMMAND_##name == COMMAND_check },
#define OPTION(...)
#define LATER(...)
#include "cli/options.def"
#undef COMMAND
#undef OPTION
#undef LATER
};

static struct json_object *facts_json(void)
{
	struct json_object *facts = json_object_new_object();
	const struct log_fact *fact;
	size_t n = log_facts(&fact);

	for (size_t i = 0; i < n; i++)
		json_object_object_add(facts, fact[i].name,
		                       json_object_new_int64((int64_t)fact[i].value));
	return facts;
}

static void report_json(int r, const char *why)
{
	struct json_object *report = json_object_new_object();
	struct json_object *lost = json_object_new_array();
	const char *const *losses;
	size_t n = log_losses(&losses);

	for (size_t i = 0; i < n; i++)
		json_object_array_add(lost, json_object_new_string(losses[i]));
	json_object_object_add(report, "result", json_object_new_string(r < 0 ? "error" : "ok"));
	json_object_object_add(report, "code", json_object_new_int((int)exit_code_of(r)));
	if (r < 0)
		json_object_object_add(report, "error", json_object_new_string(why));
	json_object_object_add(report, "not_carried", lost);
	json_object_object_add(report, "facts", facts_json());
	printf("%s\n", json_object_to_json_string_ext(
			       report, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(report);
}

static void report_text(FILE *out, int r, const char *why)
{
	const char *const *losses;
	size_t n = log_losses(&losses);

	for (size_t i = 0; i < n; i++)
		fprintf(out, "crtool: not carried: %s\n", losses[i]);
	if (r < 0)
		fprintf(out, "crtool: error: %s\n", why);
}

static void report(const struct options *o, int r, FILE *log)
{
	auto_free char *text = NULL;
	const char *why = log_failure();

	if (r < 0 && !why)
		why = asprintf(&text, "%s%s", strerror(-r), log_remedy(r)) < 0 ? strerror(-r)
		                                                               : text;
	if (o->json && (r < 0 || !commands[o->command].own_json))
		report_json(r, why);
	if (log)
		report_text(log, r, why);
	report_text(stderr, r, why);
}

/* Messages go to --log-file, which nobody else may read. */
static int log_open(const struct options *o, FILE **ret_log)
{
	auto_free char *path = NULL;
	auto_close int fd = -1;
	int r;

	if (!o->log_file) {
		log_setup(o->level, NULL);
		return 0;
	}
	r = options_path(o, o->log_file, &path);
	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(-errno, "log file %s", path);
	*ret_log = fdopen(fd, "w");
	if (!*ret_log)
		return -ENOMEM;
	take_fd(&fd);
	setvbuf(*ret_log, NULL, _IOLBF, 0);
	log_setup(o->level, *ret_log);
	return 0;
}

/* Who reads what a command shows has read enough: "crtool show | head". */
static void end_unheard(void)
{
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
}

static int run(int argc, char **argv)
{
	auto_(options_done) struct options o = {};
	auto_file FILE *log = NULL;
	int status = 0;
	int r = caller_settle();

	if (r == 0)
		r = options_parse(argc, argv, &o);
	for (int i = 1; r < 0 && i < argc; i++)
		o.json |= !strcmp(argv[i], "--json");
	if (r == 0 && o.help)
		return options_usage(argv[1], stdout) < 0 ? EXIT_USAGE : EXIT_OK;
	if (r == 0)
		r = log_open(&o, &log);
	if (r == 0)
		r = commands[o.command].run(&o, &status);
	if (commands[o.command].own_json && (r == -EPIPE || (fflush(stdout) < 0 && errno == EPIPE)))
		end_unheard();
	report(&o, r, log);
	if (fflush(stdout) < 0 && r == 0)
		return EXIT_STORAGE;
	return r < 0 ? (int)exit_code_of(r) : status;
}

int main(int argc, char **argv)
{
	int r = caller_on_stack(run, argc, argv);

	return r < 0 ? EXIT_INTERNAL : r;
}
