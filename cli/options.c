/*
 * Parsing and usage, both from the table that cli/options.def becomes.
 *
 * getopt_long(3) takes the words apart; its error messages are switched off,
 * since ours name the command and tell a CRIU option that we do not have from
 * a typing error.
 */
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "lib/confine.h"

enum option_type { FLAG, STRING, WORDS, PID, SECONDS, SIZE, LEVEL };

struct option_def {
	unsigned commands; /* a bit for each */
	char letter;
	const char *name;
	enum option_type type;
	size_t field; /* its place in struct options */
	const char *arg;
	const char *help;
};

#define IN(name) (1u << COMMAND_##name)

static const struct option_def defs[] = {
#define COMMAND(name, summary)
#define OPTION(commands, letter, name, type, field, arg, help) \
	{ commands, letter, name, type, offsetof(struct options, field), arg, help },
#define LATER(...)
#include "cli/options.def"
#undef COMMAND
#undef OPTION
#undef LATER
};

static const struct {
	const char *name, *instead;
} later[] = {
#define COMMAND(name, summary)
#define OPTION(...)
#define LATER(name, ...) { name, "" __VA_ARGS__ },
#include "cli/options.def"
#undef COMMAND
#undef OPTION
#undef LATER
};

static const struct {
	const char *name, *summary;
} commands[COMMANDS] = {
#define COMMAND(name, summary) [COMMAND_##name] = { #name, summary },
#define OPTION(...)
#define LATER(...)
#include "cli/options.def"
#undef COMMAND
#undef OPTION
#undef LATER
};

/* As it is typed. */
static const char *command_name(int command)
{
	return command == COMMAND_pre_dump ? "pre-dump" : commands[command].name;
}

static bool def_of(const struct option_def *def, enum command_id command)
{
	return def->commands & (1u << command);
}

/* What getopt calls the option: longer than any letter. */
#define LONG_BASE 256

static void getopt_tables(enum command_id command, struct option *longs, char *shorts)
{
	*shorts++ = ':';
	for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
		const struct option_def *def = &defs[i];

		if (!def_of(def, command))
			continue;
		*longs++ = (struct option){
			.name = def->name,
			.has_arg = def->arg ? required_argument : no_argument,
			.val = LONG_BASE + (int)i,
		};
		if (!def->letter)
			continue;
		*shorts++ = def->letter;
		if (def->arg)
			*shorts++ = ':';
		if (def->type == LEVEL)
			*shorts++ = ':'; /* -v and -v3, but not -v 3 */
	}
}

static int number_parse(const char *text, long min, long max, long *ret)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < min || n > max)
		return -EINVAL;
	*ret = n;
	return 0;
}

/* Bytes, or with a K, M or G behind. */
static int size_parse(const char *text, uint64_t *ret)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno || end == text || *text == '-')
		return -EINVAL;
	unit = *end ? strchr(units, *end) : NULL;
	if (*end && (!unit || end[1]))
		return -EINVAL;
	for (long i = unit ? unit - units + 1 : 0; i > 0; i--)
		if (__builtin_mul_overflow(*ret, 1024, ret))
			return -EINVAL;
	return 0;
}

/* -v, -vv: one level more; -v0 to -v4: CRIU's levels, 1 being errors alone. */
static int level_parse(const char *text, enum log_level *level)
{
	long n = 0;

	if (!text || text[strspn(text, "v")] == '\0') {
		n = (long)*level + 1 + (text ? (long)strlen(text) : 0);
	} else {
		if (number_parse(text, 0, 4, &n) < 0)
			return -EINVAL;
		n--;
	}
	*level = n < LOG_ERROR ? LOG_ERROR : n > LOG_DEBUG ? LOG_DEBUG : (enum log_level)n;
	return 0;
}

static int words_add(struct words *words, const char *text)
{
	const char **word = array_add(words);

	if (!word)
		return -ENOMEM;
	*word = text;
	return 0;
}

static int value_set(struct options *o, const struct option_def *def, const char *text)
{
	void *field = (char *)o + def->field;
	long n = 0;
	int r = 0;

	switch (def->type) {
	case FLAG:
		*(bool *)field = true;
		break;
	case STRING:
		*(const char **)field = text;
		break;
	case WORDS:
		r = words_add(field, text);
		if (r < 0)
			return r;
		break;
	case PID:
		r = number_parse(text, 1, INT_MAX, &n);
		*(pid_t *)field = (pid_t)n;
		break;
	case SECONDS:
		r = number_parse(text, 1, 1000000, &n);
		*(unsigned *)field = (unsigned)n * 1000;
		break;
	case SIZE:
		r = size_parse(text, field);
		break;
	case LEVEL:
		r = level_parse(text, field);
		break;
	}
	if (r < 0)
		return fail(r, "%s: --%s: '%s' is no %s", command_name((int)o->command), def->name,
		            text, def->arg);
	return 0;
}

/* Say what is wrong with the word that getopt stumbled over. */
static int word_refuse(enum command_id command, const char *word)
{
	const char *name = command_name((int)command);
	size_t len = strcspn(word + strspn(word, "-"), "=");

	for (size_t i = 0; i < ARRAY_SIZE(later); i++)
		if (!strncmp(word, "--", 2) && !strncmp(word + 2, later[i].name, len) &&
		    !later[i].name[len])
			return fail(-EINVAL, "%s: --%s is not supported by this version%s%s", name,
			            later[i].name, *later[i].instead ? "; " : "", later[i].instead);
	return fail(-EINVAL, "%s: unknown option '%s'; see 'crtool help %s'", name, word, name);
}

static int option_parse(struct options *o, int c, char **argv)
{
	char letter[] = { '-', (char)optopt, '\0' };

	if (c == '?')
		return word_refuse(o->command,
		                   optopt && optopt < LONG_BASE ? letter : argv[optind - 1]);
	if (c == ':')
		return fail(-EINVAL, "%s: %s needs a value", command_name((int)o->command),
		            argv[optind - 1]);
	if (c >= LONG_BASE)
		return value_set(o, &defs[c - LONG_BASE], optarg);
	for (size_t i = 0; i < ARRAY_SIZE(defs); i++)
		if (defs[i].letter == c && def_of(&defs[i], o->command))
			return value_set(o, &defs[i], optarg);
	return -EINVAL;
}

static int command_find(const char *name, enum command_id *ret)
{
	static const char *const long_names[] = { "--help", "-h", "--version", "-V" };

	for (size_t i = 0; i < ARRAY_SIZE(long_names); i++)
		if (!strcmp(name, long_names[i]))
			name = i < 2 ? "help" : "version";
	for (int i = 0; i < COMMANDS; i++)
		if (!strcmp(name, command_name(i))) {
			*ret = (enum command_id)i;
			return 0;
		}
	return fail(-EINVAL, "unknown command '%s'; see 'crtool help'", name);
}

void options_done(struct options *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(defs); i++)
		if (defs[i].type == WORDS)
			array_done((struct words *)(void *)((char *)o + defs[i].field));
	free(o->root_map);
}

/* What some options say is said to others. */
static int say_otherwise(struct options *o)
{
	char dir[PATH_MAX];

	if (o->ext_unix_sk && words_add(&o->ext_unix, "reconnect") < 0)
		return -ENOMEM;
	if (!o->root)
		return 0;
	if (!realpath(o->root, dir))
		return fail(-EINVAL, "%s: --root %s: %m", command_name((int)o->command), o->root);
	if (asprintf(&o->root_map, "/=%s", dir) < 0)
		return -ENOMEM;
	return words_add(&o->path_map, o->root_map);
}

int options_parse(int argc, char **argv, struct options *ret)
{
	struct options *o = ret;
	struct option longs[ARRAY_SIZE(defs) + 1] = {};
	char shorts[3 * ARRAY_SIZE(defs) + 2] = {};
	int c, r;

	*o = (struct options){ .dir = ".", .level = LOG_WARN, .timeout_ms = 10000 };
	if (argc < 2)
		return fail(-EINVAL, "no command given; see 'crtool help'");
	r = command_find(argv[1], &o->command);
	if (r < 0)
		return r;
	getopt_tables(o->command, longs, shorts);
	opterr = 0;
	optind = 2;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		r = option_parse(o, c, argv);
		if (r < 0)
			return r;
	}
	if (o->command == COMMAND_help && optind < argc)
		o->topic = argv[optind++];
	if (optind < argc)
		return fail(-EINVAL, "%s: '%s' is no option", command_name((int)o->command),
		            argv[optind]);
	return say_otherwise(o);
}

int options_usage(const char *name, FILE *out)
{
	enum command_id command;
	int r;

	if (!name) {
		fprintf(out, "usage: crtool COMMAND [options]\n\n");
		for (int i = 0; i < COMMANDS; i++)
			fprintf(out, "  %-9s %s\n", command_name(i), commands[i].summary);
		fprintf(out,
		        "\n'crtool help COMMAND' lists the options of one; crtool(8) explains.\n");
		return 0;
	}
	r = command_find(name, &command);
	if (r < 0)
		return r;
	fprintf(out, "usage: crtool %s [options]\n\n%s\n\n", command_name((int)command),
	        commands[command].summary);
	for (const struct option_def *def = defs; def < defs + ARRAY_SIZE(defs); def++) {
		char letter[] = { '-', def->letter, ',', '\0' };

		if (!def->help || !def_of(def, command))
			continue;
		fprintf(out, "  %3s --%-16s %-8s %s\n", def->letter ? letter : "", def->name,
		        def->arg ? def->arg : "", def->help);
	}
	return 0;
}

int options_path(const struct options *o, const char *file, char **ret_path)
{
	int n = *file == '/' || !o->work_dir ? asprintf(ret_path, "%s", file)
	                                     : asprintf(ret_path, "%s/%s", o->work_dir, file);

	return n < 0 ? -ENOMEM : 0;
}

int confine_images(const char *dir)
{
	int r = confine(dir);

	return r < 0 ? fail(r, "give up the rights that images do not need") : 0;
}

int options_keys(const struct options *o, struct image_keys **ret_keys)
{
	return keys_read(&(struct key_names){ .verify = o->verify, .decrypt = o->decrypt },
	                 ret_keys);
}
