/* What the rooms of IPv4 and IPv6 sockets have in common: all is asked of a stolen descriptor. */
#pragma once

#include "dump/dump.h"
#include "dump/sockopt.h"
#include "lib/inaddr.h"

/* getsockopt(2) of an int. -errno. */
int sk_option(int fd, int level, int name, int *ret);

/* Is F a socket of AF_INET or AF_INET6? What more it is f->sock says. */
bool sk_inet_is(const struct file *f);

/* Of the network namespace that crtool is in, else -ENOTSUP explained. */
int sk_inet_check_netns(struct dump *d, const struct file *f, int fd);

/* The levels of options that F has. How many. */
#define SK_INET_LEVELS 5
size_t sk_inet_levels(const struct file *f, uint32_t levels[SK_INET_LEVELS]);

/* The options of all of them. SOURCE may be NULL. -errno explained. */
int sk_inet_options(struct dump *d, const struct file *f, int fd,
                    const struct sockopt_source *source, struct sockopts *into);

/* Before the freeze: which of them cannot be carried, explained. */
int sk_inet_refused(struct dump *d, const struct file *f, int fd);

/* As sk_inet_options() without a word, for many threads at once: see sockopts_try(). */
int sk_inet_options_try(struct dump *d, const struct file *f, int fd,
                        const struct sockopt_source *source, struct sockopts *into);

/* getsockname(2): 1, or 0 when it has no address of its own at all. -errno. */
int sk_inet_local(int fd, union inaddr *ret);

/* Says of F what nothing brings back: MSG_ZEROCOPY and stamps count from zero again. */
void sk_inet_lose_counters(const struct file *f, const struct sockopts *opts);
