/*
 * Credentials of a thread, restore half. The order matters:
 *
 *	ambient capabilities of crtool cleared
 *	inheritable set      while the bounding set still allows it
 *	bounding set         needs CAP_SETPCAP
 *	SECBIT_NO_SETUID_FIXUP, so that the change of ids takes no capabilities
 *	groups, gids, uids   (every change makes the process undumpable)
 *	ambient set          needs the inheritable and permitted sets, no lock
 *	securebits           needs CAP_SETPCAP
 *	permitted, effective
 *	no_new_privs, dumpable, pdeathsig (cleared by a change of ids)
 *
 * dumpable belongs to the process: every thread sets it, the last one to change
 * its ids then has the last word.
 *
 * Rights that crtool has already are not touched, so that nobody needs
 * privileges to restore what is as it is.
 */
#include "restore/creds.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdlib.h>
#include <fcntl.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/kernel.h"
#include "lib/log.h"
#include "proto/creds.pb-c.h"

#define CAP(cap) (UINT64_C(1) << (cap))

/* The rights of crtool, which every task starts with. */
struct own {
	int error; /* -errno: they could not be read */
	uint32_t uids[4], gids[4];
	uint64_t inheritable, permitted, effective, bounding;
	uint32_t securebits;
	bool no_new_privs;
	gid_t *groups;
	int ngroups;
	char *uid_map, *gid_map; /* texts of /proc/self; NULL: not known */
};

static uint64_t join(uint32_t low, uint32_t high)
{
	return (uint64_t)high << 32 | low;
}

/* What is not known is not missing. */
static int own_read_caps(struct own *o)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};
	int set;

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	o->inheritable = join(data[0].inheritable, data[1].inheritable);
	o->permitted = join(data[0].permitted, data[1].permitted);
	o->effective = join(data[0].effective, data[1].effective);
	for (int cap = 0; (set = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) >= 0; cap++)
		o->bounding |= set ? CAP(cap) : 0;
	return errno == EINVAL ? 0 : -errno; /* there are no more */
}

static int own_read_flags(struct own *o)
{
	int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), nnp;

	if (bits < 0)
		return -errno;
	nnp = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	if (nnp < 0)
		return -errno;
	o->securebits = (uint32_t)bits;
	o->no_new_privs = nnp == 1;
	return 0;
}

static int own_read_groups(struct own *o)
{
	o->ngroups = getgroups(0, NULL);
	if (o->ngroups <= 0)
		return o->ngroups < 0 ? -errno : 0;
	o->groups = calloc((size_t)o->ngroups, sizeof(*o->groups));
	if (!o->groups)
		return -ENOMEM;
	o->ngroups = getgroups(o->ngroups, o->groups);
	return o->ngroups < 0 ? -errno : 0;
}

static void own_read(struct own *o)
{
	*o = (struct own){};
	getresuid(&o->uids[0], &o->uids[1], &o->uids[2]);
	getresgid(&o->gids[0], &o->gids[1], &o->gids[2]);
	o->uids[3] = (uint32_t)setfsuid((uid_t)-1);
	o->gids[3] = (uint32_t)setfsgid((gid_t)-1);
	o->error = own_read_caps(o);
	if (o->error == 0)
		o->error = own_read_flags(o);
	if (o->error == 0)
		o->error = own_read_groups(o);
	if (file_read(AT_FDCWD, "/proc/self/uid_map", &o->uid_map) < 0)
		o->uid_map = NULL;
	if (file_read(AT_FDCWD, "/proc/self/gid_map", &o->gid_map) < 0)
		o->gid_map = NULL;
}

/* They do not change; to read them takes some fifty calls, which is too much to do for each thread. */
static const struct own *own_rights(void)
{
	static struct own own;
	static bool known;

	if (!known)
		own_read(&own);
	known = true;
	return &own;
}

static bool same_groups(const struct own *o, const Img__Creds *msg)
{
	return (size_t)o->ngroups == msg->n_groups &&
	       (!o->ngroups || !memcmp(o->groups, msg->groups, msg->n_groups * sizeof(*o->groups)));
}

static bool same_ids(const struct own *o, const Img__Creds *msg)
{
	return !memcmp(o->uids, msg->uids, sizeof(o->uids)) &&
	       !memcmp(o->gids, msg->gids, sizeof(o->gids)) && same_groups(o, msg);
}

/* Ambient sets are rare: equal only when both are empty, which ours then is by its inheritable set. */
static bool same_caps(const struct own *o, const Img__Creds *msg)
{
	return o->inheritable == msg->inheritable && o->permitted == msg->permitted &&
	       o->effective == msg->effective && o->bounding == msg->bounding &&
	       o->securebits == msg->securebits && !o->inheritable && !msg->ambient;
}

/* The first capability of SET, for a message. */
static const char *first_cap(uint64_t set)
{
	static char name[32];
	char *text = cap_to_name((cap_value_t)__builtin_ctzll(set));

	snprintf(name, sizeof(name), "%s", text ? text : "a capability");
	cap_free(text);
	return name;
}

/* May we give it these rights? What is missing, else NULL. */
static const char *missing(const struct own *o, const Img__Creds *msg)
{
	uint64_t need = 0;

	if (memcmp(o->uids, msg->uids, sizeof(o->uids)) != 0)
		need |= CAP(CAP_SETUID);
	if (memcmp(o->gids, msg->gids, sizeof(o->gids)) != 0 || !same_groups(o, msg))
		need |= CAP(CAP_SETGID);
	if (!same_caps(o, msg) || need)
		need |= CAP(CAP_SETPCAP);
	need &= ~o->effective;
	need |= msg->permitted & ~o->permitted;
	need |= (msg->bounding | (msg->inheritable & ~o->inheritable)) & ~o->bounding;
	return need ? first_cap(need) : NULL;
}

/* Is ID one of MAP, those of our user namespace? NULL: the kernel has the last word. */
static bool id_known(const char *map, uint32_t id)
{
	char *end;

	for (const char *at = map; at && *at; at = end) {
		uint64_t first = strtoull(at, &end, 10), n;

		strtoull(end, &end, 10);
		n = strtoull(end, &end, 10);
		if (id >= first && id - first < n)
			return true;
		end += strspn(end, " \n");
	}
	return !map;
}

static int check_known(const struct own *o, uint32_t owner, const Img__Creds *msg)
{
	for (int i = 0; i < 4; i++) {
		bool uid = id_known(o->uid_map, msg->uids[i]);

		if (!uid || !id_known(o->gid_map, msg->gids[i]))
			return fail(-EPERM,
			            "thread %u: runs as %s %u, which the user namespace of crtool "
			            "does not have",
			            owner, uid ? "group" : "user",
			            uid ? msg->gids[i] : msg->uids[i]);
	}
	for (size_t i = 0; i < msg->n_groups; i++)
		if (!id_known(o->gid_map, msg->groups[i]))
			return fail(-EPERM,
			            "thread %u: is in group %u, which the user namespace of crtool "
			            "does not have",
			            owner, msg->groups[i]);
	return 0;
}

/* May bits of securebits(7) become WANT? As cap_task_prctl() decides. */
static bool may_set_bits(uint32_t own, uint32_t want)
{
	uint32_t locks = own & SECURE_ALL_LOCKS;

	return !(locks >> 1 & (own ^ want)) && !(locks & ~want);
}

static int check_bits(const struct own *o, uint32_t owner, const Img__Creds *msg)
{
	if (msg->securebits & ~(uint32_t)(SECURE_ALL_BITS | SECURE_ALL_LOCKS))
		return fail(-EBADMSG, "thread %u: unknown securebits", owner);
	if (same_ids(o, msg) && same_caps(o, msg))
		return 0;
	if (!may_set_bits(o->securebits, o->securebits | SECBIT_NO_SETUID_FIXUP) ||
	    !may_set_bits(o->securebits | SECBIT_NO_SETUID_FIXUP, msg->securebits))
		return fail(-EPERM,
		            "thread %u: its securebits are %#x, those of crtool are locked at %#x",
		            owner, msg->securebits, o->securebits);
	return 0;
}

/* In a user namespace of its own a capability is there to be had, and worth nothing outside. */
static int check_user(const struct own *o, uint32_t owner, const Img__Creds *msg)
{
	for (int i = 0; i < 4; i++)
		if (msg->uids[i] != o->uids[i] || msg->gids[i] != o->gids[i])
			return fail(-EPERM,
			            "thread %u: runs as user %u and group %u; without privileges "
			            "(CAP_SETUID, "
			            "CAP_SETGID) crtool brings back only what ran as user %u and "
			            "group %u",
			            owner, msg->uids[i], msg->gids[i], o->uids[i], o->gids[i]);
	if (!same_groups(o, msg))
		return fail(-EPERM,
		            "thread %u: is in other supplementary groups than crtool, which takes "
		            "CAP_SETGID",
		            owner);
	if (msg->permitted || msg->inheritable || msg->ambient)
		return fail(-EPERM, "thread %u: had %s, which crtool lacks here", owner,
		            first_cap(msg->permitted | msg->inheritable | msg->ambient));
	return 0;
}

static int creds_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Creds *msg = (const Img__Creds *)base;
	const struct own *o = own_rights();
	const char *cap;
	int e;

	if (o->error < 0)
		return fail(o->error, "read what crtool itself may");
	if (msg->n_uids != 4 || msg->n_gids != 4 || msg->dumpable > 2 ||
	    msg->pdeathsig > KERNEL_NSIG || msg->effective & ~msg->permitted ||
	    msg->ambient & ~(msg->permitted & msg->inheritable))
		return fail(-EBADMSG, "thread %u: its credentials are not what a thread has",
		            owner);
	if (o->no_new_privs && !msg->no_new_privs)
		return fail(-EPERM,
		            "thread %u: crtool runs with no_new_privs, which cannot be taken back",
		            owner);
	if (r->opt->new_userns)
		return check_user(o, owner, msg);
	cap = missing(o, msg);
	if (cap)
		return fail(-EPERM, "thread %u: its credentials need %s, which crtool lacks here",
		            owner, cap);
	e = check_known(o, owner, msg);
	return e < 0 ? e : check_bits(o, owner, msg);
}

static void emit_capset(struct script *s, uint64_t inheritable, uint64_t permitted,
                        uint64_t effective)
{
	const struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct data[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
		  (uint32_t)(inheritable >> 32) },
	};

	script_call(s, SYS_capset, script_put(s, &head, sizeof(head)),
	            script_put(s, data, sizeof(data)));
}

static void emit_each(struct script *s, uint64_t set, int option, int arg)
{
	for (; set; set &= set - 1) {
		int cap = __builtin_ctzll(set);

		if (option == PR_CAPBSET_DROP)
			script_call(s, SYS_prctl, option, cap);
		else
			script_call(s, SYS_prctl, option, arg, cap);
	}
}

static void emit_ids(struct script *s, const Img__Creds *msg)
{
	script_call(s, SYS_setgroups, msg->n_groups,
	            script_put(s, msg->groups, msg->n_groups * sizeof(*msg->groups)));
	script_call(s, SYS_setresgid, msg->gids[0], msg->gids[1], msg->gids[2]);
	script_call(s, SYS_setfsgid, msg->gids[3]);
	script_call(s, SYS_setresuid, msg->uids[0], msg->uids[1], msg->uids[2]);
	script_call(s, SYS_setfsuid, msg->uids[3]);
}

static void emit_rights(struct script *s, const struct own *o, const Img__Creds *msg)
{
	script_call(s, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
	emit_capset(s, msg->inheritable, o->permitted, o->effective);
	emit_each(s, o->bounding & ~msg->bounding, PR_CAPBSET_DROP, 0);
	script_call(s, SYS_prctl, PR_SET_SECUREBITS, o->securebits | SECBIT_NO_SETUID_FIXUP);
	if (!same_ids(o, msg))
		emit_ids(s, msg);
	emit_each(s, msg->ambient, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE);
	script_call(s, SYS_prctl, PR_SET_SECUREBITS, msg->securebits);
	emit_capset(s, msg->inheritable, msg->permitted, msg->effective);
}

/* ---- for a while ---- */

/* Those of TH, if they are not ours. What it has in a user namespace of its own is worth nothing outside. */
static const Img__Creds *others(const struct restore *r, const struct rthread *th)
{
	const Img__Creds *msg = (const Img__Creds *)aspect_record(r, KIND_creds, (uint32_t)th->tid);
	const struct own *o = own_rights();

	return msg && !r->opt->new_userns && (!same_ids(o, msg) || !same_caps(o, msg)) ? msg : NULL;
}

/* The saved ids and the permitted set stay ours: they are the way back. */
void creds_borrow(struct restore *r, const struct rthread *th, struct script *s)
{
	const Img__Creds *msg = others(r, th);
	const struct own *o = own_rights();

	if (!msg)
		return;
	script_call(s, SYS_prctl, PR_SET_SECUREBITS, o->securebits | SECBIT_NO_SETUID_FIXUP);
	if (!same_ids(o, msg)) {
		script_call(s, SYS_setgroups, msg->n_groups,
		            script_put(s, msg->groups, msg->n_groups * sizeof(*msg->groups)));
		script_call(s, SYS_setresgid, msg->gids[0], msg->gids[1], o->gids[2]);
		script_call(s, SYS_setfsgid, msg->gids[3]);
		script_call(s, SYS_setresuid, msg->uids[0], msg->uids[1], o->uids[2]);
		script_call(s, SYS_setfsuid, msg->uids[3]);
	}
	emit_capset(s, o->inheritable, o->permitted, msg->effective & o->permitted);
}

/* A change of ids has taken away the signal at the death of the parent (emit_start()). */
void creds_return(struct restore *r, const struct rthread *th, struct script *s)
{
	const Img__Creds *msg = others(r, th);
	const struct own *o = own_rights();

	if (!msg)
		return;
	emit_capset(s, o->inheritable, o->permitted, o->effective);
	if (!same_ids(o, msg)) {
		script_call(s, SYS_setresuid, o->uids[0], o->uids[1], o->uids[2]);
		script_call(s, SYS_setresgid, o->gids[0], o->gids[1], o->gids[2]);
		script_call(s, SYS_setgroups, o->ngroups,
		            script_put(s, o->groups, (size_t)o->ngroups * sizeof(*o->groups)));
		script_call(s, SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
		script_call(s, SYS_prctl, PR_SET_DUMPABLE, 1);
	}
	script_call(s, SYS_prctl, PR_SET_SECUREBITS, o->securebits);
}

/* ---- of one that has ended ---- */

void creds_end_as(struct restore *r, const struct rtask *t, struct script *s)
{
	const struct own *o = own_rights();
	const uint64_t need = CAP(CAP_SETUID) | CAP(CAP_SETGID);
	const Img__Task *img = t->img;

	if (!img->has_ids || (img->uid == o->uids[0] && img->gid == o->gids[0]))
		return;
	if (r->opt->new_userns || (o->effective & need) != need ||
	    !id_known(o->uid_map, img->uid) || !id_known(o->gid_map, img->gid)) {
		lose("%s: has ended as user %u and group %u, which crtool has no right to",
		     rtask_name(t), img->uid, img->gid);
		return;
	}
	script_call(s, SYS_setresgid, img->gid, img->gid, img->gid);
	script_call(s, SYS_setresuid, img->uid, img->uid, img->uid);
}

/* The signal comes when the parent ends. That of a detached root is crtool, which ends at once. */
static void emit_pdeathsig(struct restore *r, struct rthread *th, const Img__Creds *msg,
                           struct script *s)
{
	const struct rtask *parent = th->task->parent;

	if (!msg->pdeathsig)
		return;
	if (parent && parent->img->leader_exited)
		lose("%s: thread %d: signal %u at the end of the thread that forked it, as its "
		     "parent's main thread has exited",
		     rtask_name(th->task), th->tid, msg->pdeathsig);
	else if (parent || !r->opt->detach)
		script_call(s, SYS_prctl, PR_SET_PDEATHSIG, msg->pdeathsig);
	else
		lose("%s: thread %d: signal %u at the death of its parent, which has none after a "
		     "detached restore",
		     rtask_name(th->task), th->tid, msg->pdeathsig);
}

static int creds_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                      struct script *s)
{
	const Img__Creds *msg = (const Img__Creds *)base;
	const struct own *o = own_rights();

	if (!same_ids(o, msg) || !same_caps(o, msg))
		emit_rights(s, o, msg);
	if (msg->no_new_privs)
		script_call(s, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
	script_call(s, SYS_prctl, PR_SET_DUMPABLE, msg->dumpable == 1);
	emit_pdeathsig(r, th, msg, s);
	return 0;
}

const struct restore_aspect restore_creds = {
	.check = creds_check,
	.emit[PHASE_LAST] = creds_emit,
};
