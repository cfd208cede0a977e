/*
 * TCP_MD5SIG is told by sock_diag(7) alone, to who has CAP_NET_ADMIN (without it there
 * is no lock either), and only of sockets that listen or are connected.
 */
#include "dump/sk_tcp_key.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "lib/inetdiag.h"
#include "lib/log.h"

#define WITH_INFO (1 << (INET_DIAG_INFO - 1)) /* the kernel tells of keys besides */

struct keyed {
	struct dump *d;
	struct file *found;
};

static int keyed_find(const struct inet_diag_msg *msg, const struct nlattr *attrs, size_t size,
                      void *arg)
{
	struct keyed *k = arg;

	if (!sockdiag_find(attrs, size, INET_DIAG_MD5SIG))
		return 0;
	array_each (f, &k->d->files)
		if (f->kind == KIND_sk_tcp && f->policy == FD_CARRY &&
		    f->st.st_ino == msg->idiag_inode)
			k->found = f;
	return k->found != NULL;
}

int tcp_keys_refuse(struct dump *d)
{
	struct keyed k = { .d = d };

	inetdiag_each(AF_INET, IPPROTO_TCP, INETDIAG_ALL, WITH_INFO, keyed_find, &k);
	if (!k.found)
		inetdiag_each(AF_INET6, IPPROTO_TCP, INETDIAG_ALL, WITH_INFO, keyed_find, &k);
	return k.found ? fail(-ENOTSUP,
	                      "%s (%s): has keys that sign its packets (TCP_MD5SIG): not "
	                      "supported by this version",
	                      file_name(k.found), file_describe(k.found))
	               : 0;
}
