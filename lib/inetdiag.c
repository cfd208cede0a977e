#include "lib/inetdiag.h"

typedef int each_fn(const struct inet_diag_msg *msg, const struct nlattr *attrs, size_t size,
                    void *arg);

struct whom {
	each_fn *each;
	void *arg;
};

static int each_sock(const void *data, size_t size, void *arg)
{
	const struct whom *w = arg;
	const struct inet_diag_msg *msg = data;
	const struct nlattr *attrs = sockdiag_attrs(data, sizeof(*msg), size, &size);

	return w->each(msg, attrs, size, w->arg);
}

int inetdiag_each(int family, int protocol, uint32_t states, uint8_t ext, each_fn *each, void *arg)
{
	struct inet_diag_req_v2 req = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = (uint8_t)protocol,
		.idiag_ext = ext,
		.idiag_states = states,
	};

	return sockdiag_each(&req, sizeof(req), each_sock, &(struct whom){ each, arg });
}
