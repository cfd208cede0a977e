/*
 * SysV message queues, restore half. The coordinator makes the queue, or finds
 * the one that survived its processes in the kernel, and sends the messages in
 * their order. The kernel notes who sent and received last: processes of these
 * numbers do so. A queue that holds just these messages is left alone.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/syscall.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/sysv.h"
#include "proto/sysv_msg.pb-c.h"
#include "restore/sysv.h"

static const char *name_of(const Img__SysvMsg *m)
{
	return sysv_perm_name(SYSV_MSG, m->perm);
}

static size_t bytes_of(const Img__SysvMsg *m)
{
	size_t sum = 0;

	for (size_t i = 0; i < m->n_message; i++)
		sum += m->message[i]->text.len;
	return sum;
}

static int queue_check(const Img__SysvMsg *m)
{
	int ret = sysv_check_perm(SYSV_MSG, m->perm);

	if (ret < 0)
		return ret;
	if (m->qbytes > INT32_MAX || m->lspid > INT32_MAX || m->lrpid > INT32_MAX ||
	    (m->perm->kept && m->n_message))
		return fail(-EBADMSG, "%s: impossible numbers", name_of(m));
	for (size_t i = 0; i < m->n_message; i++)
		if (m->message[i]->type <= 0)
			return fail(-EBADMSG, "%s: a message of an impossible type", name_of(m));
	return 0;
}

int sysv_msg_check(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_sysv_msg, &n);

	for (size_t i = 0; i < n; i++) {
		int ret = queue_check((const Img__SysvMsg *)rec[i].msg);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- the one that may be there ---- */

enum found { FOUND_NONE, FOUND_OTHER, FOUND_AS_IT_IS };

/* The queue ID, DS, has the id or key of M. */
static int check_unused(const struct restore *r, const Img__SysvMsg *m, int id,
                        const struct msqid_ds *ds)
{
	const uint32_t now[] = { (uint32_t)ds->msg_lspid, (uint32_t)ds->msg_lrpid };
	const bool same = id == (int)m->perm->sysvid;
	const uint32_t was[] = { same ? m->lspid : 0, same ? m->lrpid : 0 };
	char comm[32];
	pid_t pid = 0;

	for (size_t i = 0; i < ARRAY_SIZE(now) && !pid; i++)
		if (now[i] && now[i] != was[i] && !rtask_find(r, (pid_t)now[i]) &&
		    kill((pid_t)now[i], 0) == 0)
			pid = (pid_t)now[i];
	if (!pid)
		pid = sysv_waiting(id, SYS_msgsnd, SYS_msgrcv, NULL, 0);
	if (!pid)
		return 0;
	sysv_comm(pid, comm, sizeof(comm));
	return fail(
		-EBUSY,
		"%s: is in use by task %d (%s); --sysv keep uses it as it is, with the messages "
		"of now",
		name_of(m), pid, comm);
}

static int clear_way(const struct restore *r, const Img__SysvMsg *m)
{
	int ids[] = { (int)m->perm->sysvid, m->perm->key ? msgget((key_t)m->perm->key, 0) : -1 };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct msqid_ds ds;
		int ret;

		if (ids[i] < 0 || msgctl(ids[i], IPC_STAT, &ds) < 0)
			continue;
		ret = check_unused(r, m, ids[i], &ds);
		if (ret < 0)
			return ret;
		if (msgctl(ids[i], IPC_RMID, NULL) < 0)
			return fail(-errno, "%s: remove the one that is there", name_of(m));
	}
	return FOUND_NONE;
}

static int find_queue(struct restore *r, const Img__SysvMsg *m)
{
	bool keep = m->perm->kept || r->opt->sysv == SYSV_KEEP;
	struct msqid_ds ds;
	int ret;

	if (!keep && r->opt->sysv == SYSV_RECREATE)
		return clear_way(r, m);
	if (msgctl((int)m->perm->sysvid, IPC_STAT, &ds) < 0) {
		if (m->perm->kept)
			return fail(-ENOTSUP,
			            "%s: was kept by the dump (--sysv keep) and is gone since then",
			            name_of(m));
		return FOUND_NONE;
	}
	if (!pool_same_boot(r) || (uint32_t)ds.msg_perm.__key != m->perm->key ||
	    ds.msg_perm.cuid != m->perm->cuid)
		return fail(-EBUSY,
		            "%s: its id is in use by another one, with key %#x; remove that (ipcrm "
		            "-q %u) or give --sysv recreate",
		            name_of(m), (unsigned)ds.msg_perm.__key, m->perm->sysvid);
	if (keep)
		return FOUND_AS_IT_IS;
	ret = check_unused(r, m, (int)m->perm->sysvid, &ds);
	return ret < 0 ? ret : FOUND_OTHER;
}

/* ---- messages ---- */

static int message_send(int id, const Img__SysvMsg__Message *msg)
{
	auto_free struct msgbuf *buf = malloc(sizeof(*buf) + msg->text.len);

	if (!buf)
		return -ENOMEM;
	buf->mtype = msg->type;
	memcpy(buf->mtext, msg->text.data, msg->text.len);
	return msgsnd(id, buf, msg->text.len, IPC_NOWAIT) < 0 ? -errno : 0;
}

static int send_last(const void *arg)
{
	const Img__SysvMsg *m = arg;

	return message_send((int)m->perm->sysvid, m->message[m->n_message - 1]);
}

/* A message that is taken away again, when the queue is empty. */
static int send_any(const void *arg)
{
	const Img__SysvMsg *m = arg;
	struct msgbuf any = { .mtype = 1 };

	return msgsnd((int)m->perm->sysvid, &any, 0, IPC_NOWAIT) < 0 ? -errno : 0;
}

static int receive_any(const void *arg)
{
	const Img__SysvMsg *m = arg;
	struct msgbuf any;

	return msgrcv((int)m->perm->sysvid, &any, sizeof(any.mtext), 0, IPC_NOWAIT | MSG_NOERROR) <
	                       0
	               ? -errno
	               : 0;
}

static int empty(const Img__SysvMsg *m)
{
	int ret;

	do
		ret = receive_any(m);
	while (ret == 0);
	return ret == -ENOMSG ? 0 : ret;
}

/* An empty queue: who received last, and then who sent last. */
static int fill(const Img__SysvMsg *m)
{
	bool none = !m->n_message;
	int ret = 0;

	if (m->lrpid)
		ret = sysv_as(none ? (pid_t)m->lspid : 0, send_any, m);
	if (m->lrpid && ret == 0)
		ret = sysv_as((pid_t)m->lrpid, receive_any, m);
	for (size_t i = 0; ret == 0 && i + 1 < m->n_message; i++)
		ret = message_send((int)m->perm->sysvid, m->message[i]);
	return ret < 0 || none ? ret : sysv_as((pid_t)m->lspid, send_last, m);
}

/* Are these the messages that it holds? */
static bool is_filled(const Img__SysvMsg *m, const struct msqid_ds *ds)
{
	auto_free struct msgbuf *buf = malloc(sizeof(*buf) + ds->__msg_cbytes);

	if (!buf || ds->msg_qnum != m->n_message || ds->__msg_cbytes != bytes_of(m) ||
	    (uint32_t)ds->msg_lspid != m->lspid || (uint32_t)ds->msg_lrpid != m->lrpid)
		return false;
	for (size_t i = 0; i < m->n_message; i++) {
		const ProtobufCBinaryData *text = &m->message[i]->text;
		ssize_t n = msgrcv((int)m->perm->sysvid, buf, ds->__msg_cbytes, (long)i,
		                   MSG_COPY | IPC_NOWAIT);

		if (n < 0 || (size_t)n != text->len || buf->mtype != m->message[i]->type ||
		    memcmp(buf->mtext, text->data, text->len) != 0)
			return false;
	}
	return true;
}

/* ---- making ---- */

static int request_make(const void *arg)
{
	const Img__SysvMsg *m = arg;
	int id = msgget((key_t)m->perm->key, IPC_CREAT | IPC_EXCL | (int)(m->perm->mode & 0777));

	return id < 0 ? -errno : id;
}

/* Owner and mode, and how many bytes it may hold. */
static int set_limits(const Img__SysvMsg *m, uint64_t qbytes)
{
	struct msqid_ds ds;
	int id = (int)m->perm->sysvid;

	if (msgctl(id, IPC_STAT, &ds) < 0)
		return fail(-errno, "%s: IPC_STAT", name_of(m));
	if (ds.msg_perm.uid == m->perm->uid && ds.msg_perm.gid == m->perm->gid &&
	    (ds.msg_perm.mode & 0777) == (m->perm->mode & 0777) && ds.msg_qbytes == qbytes)
		return 0;
	ds.msg_perm.uid = m->perm->uid;
	ds.msg_perm.gid = m->perm->gid;
	ds.msg_perm.mode = (unsigned short)(m->perm->mode & 0777);
	ds.msg_qbytes = qbytes;
	if (msgctl(id, IPC_SET, &ds) < 0)
		return fail(
			-errno,
			"%s: set its owner, mode and limit of %zu bytes (more than kernel.msgmnb "
			"needs CAP_SYS_RESOURCE)",
			name_of(m), (size_t)qbytes);
	return 0;
}

/* What it holds may be more than it would take by now. */
static uint64_t room_needed(const Img__SysvMsg *m)
{
	uint64_t need = bytes_of(m) > m->n_message ? bytes_of(m) : m->n_message;

	return need + 1 > m->qbytes ? need + 1 : m->qbytes;
}

static int make_queue(struct restore *r, const Img__SysvMsg *m)
{
	struct sysv_wish wish = { m->perm, 0, request_make, m };
	int found = find_queue(r, m), ret = found;
	struct msqid_ds ds;

	if (found == FOUND_NONE)
		ret = sysv_make(r, SYSV_MSG, &wish, 1);
	if (ret < 0 || found == FOUND_AS_IT_IS)
		return ret;
	if (msgctl((int)m->perm->sysvid, IPC_STAT, &ds) < 0)
		return fail(-errno, "%s: IPC_STAT", name_of(m));
	if (!is_filled(m, &ds)) {
		ret = set_limits(m, room_needed(m));
		if (ret < 0)
			return ret;
		ret = empty(m);
		if (ret == 0)
			ret = fill(m);
		if (ret < 0)
			return fail(ret, "%s: send its %zu messages", name_of(m), m->n_message);
	}
	return set_limits(m, m->qbytes);
}

int sysv_msg_make(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_sysv_msg, &n);

	for (size_t i = 0; i < n; i++) {
		int ret = make_queue(r, (const Img__SysvMsg *)rec[i].msg);

		if (ret < 0)
			return ret;
	}
	return 0;
}
