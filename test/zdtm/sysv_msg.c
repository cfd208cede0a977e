/*
 * SysV message queues: messages in order, types, limits, who was last, id and key. With an
 * argument: "empty": all messages were received, "blocked": two processes wait to send and
 * to receive, "outsider": another process sends to the queue "outsider ID".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sysv.h"
#include "zdtm.h"

#define KEY (0x63720000 + getpid() % 65536)

static struct message {
	long type;
	char text[8000];
} m;

static int q;

static void make(void)
{
	q = sysv_note('q', msgget(KEY, IPC_CREAT | IPC_EXCL | 0620));
}

static int put(long type, char c, size_t size, int flags)
{
	m.type = type;
	memset(m.text, c, sizeof(m.text));
	return msgsnd(q, &m, size, flags);
}

static void get(long want, long type, char c, ssize_t size)
{
	check(msgrcv(q, &m, sizeof(m.text), want, IPC_NOWAIT) == size);
	check(m.type == type && (!size || (m.text[0] == c && m.text[size - 1] == c)));
}

static int done(void)
{
	check(msgctl(q, IPC_RMID, NULL) == 0);
	return zdtm_pass();
}

static void same(const struct msqid_ds *was)
{
	struct msqid_ds now;

	check(msgctl(q, IPC_STAT, &now) == 0);
	check(now.msg_qnum == was->msg_qnum && now.msg_qbytes == was->msg_qbytes);
	check(now.msg_lspid == was->msg_lspid && now.msg_lrpid == was->msg_lrpid);
	check(now.msg_perm.mode == was->msg_perm.mode && now.msg_perm.uid == was->msg_perm.uid);
	check(msgget(KEY, 0) == q);
}

static int plain(void)
{
	struct msqid_ds ds;
	int status;

	make();
	check(msgctl(q, IPC_STAT, &ds) == 0);
	ds.msg_qbytes = 10000;
	ds.msg_perm.uid = 4711;
	check(msgctl(q, IPC_SET, &ds) == 0);
	check(put(9, 'x', 1, 0) == 0);
	get(9, 9, 'x', 1);
	check(put(5, 'a', 3000, 0) == 0 && put(1, 'b', 0, 0) == 0 && put(5, 'c', 3000, 0) == 0);
	if (fork() == 0)
		_exit(put(7, 'd', 3000, 0));
	check(wait(&status) > 0 && status == 0);
	check(put(8, 'e', 3000, IPC_NOWAIT) < 0 && errno == EAGAIN);
	check(msgctl(q, IPC_STAT, &ds) == 0 && ds.msg_qnum == 4 && ds.msg_lrpid == getpid());

	zdtm_park();

	same(&ds);
	check(put(8, 'e', 3000, IPC_NOWAIT) < 0 && errno == EAGAIN);
	get(-6, 1, 'b', 0);
	get(0, 5, 'a', 3000);
	get(0, 5, 'c', 3000);
	get(0, 7, 'd', 3000);
	return done();
}

static int empty(void)
{
	struct msqid_ds ds;
	int status;

	make();
	if (fork() == 0)
		_exit(put(7, 'd', 8, 0));
	check(wait(&status) > 0 && status == 0);
	get(0, 7, 'd', 8);
	check(msgctl(q, IPC_STAT, &ds) == 0 && ds.msg_qnum == 0 && ds.msg_lspid != getpid());

	zdtm_park();

	same(&ds);
	return done();
}

static void receive(void)
{
	check(msgrcv(q, &m, sizeof(m.text), 3, 0) == 5 && m.text[0] == 'r');
}

static void send(void)
{
	check(put(2, 's', 8000, 0) == 0);
}

static pid_t child(void (*run)(void))
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run();
	_exit(0);
}

static int blocked(void)
{
	pid_t pid[2];
	int status;

	make();
	check(put(1, 'a', 8000, 0) == 0 && put(1, 'b', 8000, 0) == 0);
	pid[0] = child(receive);
	pid[1] = child(send);
	for (int i = 0; i < 20; i++)
		zdtm_nap();

	zdtm_park();

	check(waitpid(-1, &status, WNOHANG) == 0);
	get(1, 1, 'a', 8000);
	check(waitpid(pid[1], &status, 0) == pid[1] && status == 0);
	check(put(3, 'r', 5, IPC_NOWAIT) == 0);
	check(waitpid(pid[0], &status, 0) == pid[0] && status == 0);
	get(0, 1, 'b', 8000);
	get(0, 2, 's', 8000);
	return done();
}

static int outsider(int id)
{
	q = id;
	check(put(4, 'o', 4, 0) == 0);
	zdtm_park();
	return zdtm_pass();
}

static int kept(void)
{
	make();
	check(put(1, 'a', 10, 0) == 0);
	get(0, 1, 'a', 10);

	zdtm_park();

	get(0, 4, 'o', 4);
	return done();
}

static const struct {
	const char *name;
	int (*run)(void);
} variants[] = { { "empty", empty }, { "blocked", blocked }, { "kept", kept } };

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		if (argc > 1 && !strcmp(argv[1], variants[i].name))
			return variants[i].run();
	return argc > 2 ? outsider(atoi(argv[2])) : plain();
}
