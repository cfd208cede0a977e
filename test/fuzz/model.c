/*
 * Fuzzing the restore up to the moment before anything is opened or forked: the
 * input is state.img, read, planned and judged by every room. Mutations are of
 * the model: valid messages with hostile values (mutate.h).
 *
 * The seeds are real checkpoints (model.seeds); the manifest is that of this machine.
 */
#include <stdio.h>
#include <sys/utsname.h>

/* Its stages are its own business but here. */
#include "restore/restore.c" // NOLINT

#include "images/chain.h"
#include "images/pages.h"
#include "mutate.h"

#define CPU_WORDS 32

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#define OWN    4 /* page files of the checkpoint, as records may refer to them ... */
#define FOLDED 4 /* ... and of its parents, behind these */
#define FILES  (OWN + FOLDED)

static int manifest_fake(struct images *im)
{
	static Img__Manifest__File file[FILES + 1], *files[FILES + 1];
	static char state_name[] = "state.img", pages_name[] = "pages-0.img";
	static uint32_t words[CPU_WORDS];
	static struct utsname uts;
	static Img__Manifest m;
	static size_t nwords;

	if (!nwords) /* it takes as long as all the rest */
		nwords = arch_cpu_features(words, CPU_WORDS);
	uname(&uts);
	img__manifest__init(&m);
	for (int i = 0; i <= FILES; i++) {
		img__manifest__file__init(&file[i]);
		file[i].name = i ? pages_name : state_name;
		file[i].size = 64 << 20;
		files[i] = &file[i];
	}
	m.files = files;
	m.n_files = FILES + 1;
	m.folded = FOLDED;
	m.machine = uts.machine;
	m.page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	m.cpu_features.data = (uint8_t *)words;
	m.cpu_features.len = nwords * sizeof(*words);
	im->manifest = &m;
	im->pages = calloc(FILES, sizeof(*im->pages));
	if (!im->pages)
		return -1;
	for (int i = 0; i < FILES; i++)
		im->pages[i] = -1;
	im->npages = FILES;
	return 0;
}

/* IM is consumed. */
static void judge(struct images *im)
{
	static const struct restore_options opt = { .timeout_ms = 1000, .dir = "fuzz" };
	struct restore r = { .opt = &opt, .images = im };

	/* As the end of a chain of stages that stop at the first failure. */
	if (plan_tree(&r) == 0)
		check_images(&r);
	restore_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct images *im;

	if (images_new("fuzz", &im) < 0)
		return 0;
	if (manifest_fake(im) == 0 && state_decode(im, data, size) == 0 &&
	    chain_join(im, NULL) == 0)
		judge(im);
	else
		images_free(im);
	log_forget();
	log_losses_forget(); /* or each of them looks like a leak, and is looked for */
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct mutator m = { .random = seed };
	size_t packed = 0;

	if (mutate_below(&m, 64) == 0 || images_new("fuzz", &m.im) < 0)
		return LLVMFuzzerMutate(data, size, max_size);
	if (manifest_fake(m.im) == 0 && state_decode(m.im, data, size) == 0) {
		for (size_t n = 1 + mutate_below(&m, 3); n; n--)
			mutate_once(&m);
		packed = mutate_pack(m.im, data, max_size);
	}
	images_free(m.im);
	log_forget();
	log_losses_forget(); /* or each of them looks like a leak, and is looked for */
	return packed ? packed : LLVMFuzzerMutate(data, size, max_size);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	log_setup(LOG_ERROR, NULL);
	return 0;
}
