/* lib/sockopt.def: no option that the headers name or the kernel answers is missing */
#include "lib/sockopt.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "unit.h"

/* Names for what is there already. */
static const char *const synonyms[] = { "SO_GET_FILTER",       "SO_DETACH_BPF",
	                                "SO_TIMESTAMP_OLD",    "SO_TIMESTAMPNS_OLD",
	                                "SO_TIMESTAMPING_OLD", "SO_RCVTIMEO_OLD",
	                                "SO_SNDTIMEO_OLD" };

static bool is_synonym(const char *name)
{
	for (size_t i = 0; i < sizeof(synonyms) / sizeof(*synonyms); i++)
		if (!strcmp(name, synonyms[i]))
			return true;
	return false;
}

/* Every "#define SO_X n" of that header. */
TEST(every_option_of_the_headers_has_a_line)
{
	FILE *f = fopen("/usr/include/asm-generic/socket.h", "r");
	char line[256], name[64];
	unsigned number, seen = 0;

	if (!f)
		skip("there is no asm-generic/socket.h");
	while (fgets(line, sizeof(line), f)) {
		const struct sockopt *o;

		if (sscanf(line, "#define %63[A-Z0-9_] %u", name, &number) != 2 ||
		    strncmp(name, "SO_", 3) != 0 || is_synonym(name))
			continue;
		o = sockopt_find(SOL_SOCKET, number);
		if (!o || strcmp(o->text, name) != 0)
			printf("# %s %u: %s\n", name, number, o ? o->text : "no line");
		check(o && !strcmp(o->text, name));
		seen++;
	}
	check(seen > 50);
}

/* Every option that this kernel answers to, which may be newer than the headers. */
TEST(every_option_of_the_kernel_has_a_line)
{
	static const int kinds[][2] = { { AF_UNIX, SOCK_STREAM },
		                        { AF_INET, SOCK_STREAM },
		                        { AF_INET, SOCK_DGRAM },
		                        { AF_NETLINK, SOCK_RAW } };
	unsigned seen = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		int fd = socket(kinds[i][0], kinds[i][1], 0);

		for (int name = 0; fd >= 0 && name < 1024; name++) {
			char value[64];
			socklen_t len = sizeof(value);

			if (getsockopt(fd, SOL_SOCKET, name, value, &len) < 0 &&
			    errno == ENOPROTOOPT)
				continue;
			if (!sockopt_find(SOL_SOCKET, (uint32_t)name))
				printf("# SOL_SOCKET %d has no line\n", name);
			check(sockopt_find(SOL_SOCKET, (uint32_t)name));
			seen++;
		}
		close(fd);
	}
	check(seen > 100);
}

TEST(no_option_has_two_lines)
{
	for (size_t i = 0; i < nsockopts; i++)
		check(sockopt_find(sockopts[i].level, sockopts[i].name) == &sockopts[i]);
}

/* Whatever is carried has the size that the table says. */
TEST(values_have_the_size_of_their_type)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	check(fd >= 0);
	for (size_t i = 0; i < nsockopts; i++) {
		char value[SOCKOPT_MAX];
		socklen_t len = sizeof(value);

		if (sockopts[i].level != SOL_SOCKET || !sockopt_carried(&sockopts[i]) ||
		    sockopts[i].how == HOW_FILTER ||
		    getsockopt(fd, SOL_SOCKET, (int)sockopts[i].name, value, &len) < 0)
			continue;
		check(sockopt_fits(sockopts[i].type, len));
	}
}
