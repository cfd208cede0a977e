/* images/show.h */
#include "images/show.h"

#include <json-c/json.h>

#include "checkpoint.h"

static char *shown(const struct place *p, bool json)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	check(out && !images_show(p->dir, NULL, json, out));
	fclose(out);
	return text;
}

TEST(text_names_every_record_and_sums_up_its_pages)
{
	struct place p = place_new();
	char *text;

	checkpoint_write(&p);
	text = shown(&p, false);
	check(strstr(text, "manifest\n  files\n    name: \"state.img\"\n"));
	check(strstr(text, "task 1\n  pid: 1\n") && strstr(text, "task 2\n"));
	check(strstr(text, "comm: \"redis \\\"x\\\"\"\n"));
	check(strstr(text, "pages 1\n  file: 0\n  offset: 0\n"
	                   "  runs: 2, 12288 bytes from 0x10000 to 0x22000\n"));
	free(text);
	place_free(&p);
}

TEST(json_parses_and_holds_the_same)
{
	struct place p = place_new();
	json_object *all, *records, *record, *message, *value;
	char *text;

	checkpoint_write(&p);
	text = shown(&p, true);
	all = json_tokener_parse(text);
	check(all && json_object_object_get_ex(all, "records", &records));
	check(json_object_array_length(records) == 3);
	record = json_object_array_get_idx(records, 0);
	check(json_object_object_get_ex(record, "message", &message));
	check(json_object_object_get_ex(message, "comm", &value));
	check(!strcmp(json_object_get_string(value), "redis \"x\""));
	check(json_object_object_get_ex(message, "tids", &value));
	check(json_object_array_length(value) == 1);
	json_object_put(all);
	free(text);
	place_free(&p);
}

/* A name may hold anything: it must neither drive a terminal nor break the JSON. */
TEST(odd_bytes_are_escaped)
{
	struct place p = place_new();
	char comm[] = "\x1b[2J\n\xff\xc3\xa9\xc2\x9b";
	Img__Task task = IMG__TASK__INIT;
	struct image_writer *w;
	json_object *all;
	char *text;

	task.pid = 1;
	task.comm = comm;
	check(!image_writer_new(p.fd, 0600, NULL, &w));
	check(!image_put(w, KIND_task, 1, &task.base));
	check(!seal(w, false));
	image_writer_free(w);
	text = shown(&p, false);
	check(strstr(text, "comm: \"\\x1b[2J\\x0a\xff\xc3\xa9\\xc2\x9b\"\n"));
	free(text);
	text = shown(&p, true);
	check(strstr(text, "\xc3\xbf\xc3\xa9\xc2\x9b"));
	all = json_tokener_parse(text);
	check(all);
	json_object_put(all);
	free(text);
	place_free(&p);
}

TEST(damaged_pages_do_not_matter_to_show)
{
	struct place p = place_new();
	int fd;

	checkpoint_write(&p);
	fd = openat(p.fd, "pages-0.img", O_WRONLY);
	check(write(fd, "X", 1) == 1);
	close(fd);
	free(shown(&p, false));
	check(refused(p.dir, -EBADMSG, "pages-0.img: wrong checksum"));
	place_free(&p);
}
