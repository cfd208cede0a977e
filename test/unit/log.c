/* lib/log.h */
#include "lib/log.h"

#include "unit.h"

TEST(the_first_failure_is_kept)
{
	check(!log_failure());
	check(fail(-ENOENT, "task %d", 41) == -ENOENT);
	check(fail(-EIO, "somebody above") == -EIO);
	check(!strcmp(log_failure(), "task 41: No such file or directory"));
	log_forget();
	check(!log_failure());
}

TEST(some_errors_leave_the_reason_to_the_message)
{
	static const int quiet[] = { -ENOTSUP, -EBADMSG, -EINVAL, -ETIMEDOUT, -ECANCELED };

	for (size_t i = 0; i < sizeof(quiet) / sizeof(*quiet); i++) {
		check(fail(quiet[i], "fd 7: io_uring") == quiet[i]);
		check(!strcmp(log_failure(), "fd 7: io_uring"));
		log_forget();
	}
}

static char *logged(enum log_level level)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	check(out);
	log_setup(level, out);
	warn("w");
	info("i");
	debug("d");
	log_setup(LOG_WARN, NULL);
	fclose(out);
	return text;
}

TEST(levels_decide_what_is_said)
{
	char *text = logged(LOG_ERROR);

	check(!strcmp(text, ""));
	free(text);
	text = logged(LOG_WARN);
	check(!strcmp(text, "crtool: warning: w\n"));
	free(text);
	text = logged(LOG_DEBUG);
	check(!strcmp(text, "crtool: warning: w\ncrtool: i\ncrtool: d\n"));
	free(text);
}

TEST(a_room_can_be_raised)
{
	char *text;

	check(!setenv("CRTOOL_LOG", "pipe:info,log:debug", 1));
	text = logged(LOG_WARN);
	check(strstr(text, "crtool: d\n"));
	free(text);
	check(!setenv("CRTOOL_LOG", "lo:debug,logs:debug", 1));
	text = logged(LOG_WARN);
	check(!strstr(text, "crtool: d\n"));
	free(text);
}

TEST(losses_are_kept_in_order)
{
	const char *const *texts;

	check(log_losses(&texts) == 0);
	for (int i = 0; i < 100; i++)
		lose("loss %d", i);
	check(log_losses(&texts) == 100);
	check(!strcmp(texts[0], "loss 0") && !strcmp(texts[99], "loss 99"));
}
