load lib/zdtm

setup() {
	"$BUILD/test/zdtm/landlock" --probe 3>&- 2>/dev/null || skip "no Landlock"
}

@test "a task in no Landlock sandbox is seen to be free, with and without no_new_privs" {
	local to

	zdtm landlock 0
	zdtm landlock 0 nnp
	park landlock 0 nnp
	to=$(images)
	run -0 crtool dump -R -t "$pid" -D "$to"
	[[ $output != *Landlock* ]]
	release
}

# refused LAYERS ARGS: by name, again and again, and the target runs on as it was.
refused() {
	park landlock "$@"
	for _ in 1 2 3; do
		run -4 crtool dump -t "$pid" -D "$(images)"
		[[ $output == *"is in a Landlock sandbox ($1 of 16 layers)"* ]]
		running "$pid"
	done
	release
}

@test "a Landlock sandbox is refused by name, also where no_new_privs does not speak of it" {
	refused 1
	refused 3
	refused 16 nnp
}

@test "a child in a sandbox, in whose tree nobody else is in one, is refused by name" {
	local child

	park landlock 0 nnp child 2
	read -r child <"/proc/$pid/task/$pid/children" || true
	for _ in 1 2; do
		run -4 crtool dump -t "$pid" -D "$(images)"
		[[ $output == *"task ${child% } (landlock): is in a Landlock sandbox (2 of 16 layers)"* ]] || explain "$output"
		running "$pid"
	done
	release
}

@test "--lose-landlock saves without the sandbox, and says so" {
	local to

	park landlock 3 nnp restored
	to=$(images)
	run -0 crtool dump -t "$pid" -D "$to" --lose-landlock
	[[ $output == *"not carried: "*"its Landlock sandbox (3 of 16 layers)"* ]]
	crtool restore -d -D "$to"
	release
}

# unknown HOW: the possibility is reported, and the target runs on as it was.
unknown() {
	park landlock 1 nnp "$1"
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: "*"a Landlock sandbox, if it is in one"* ]]
	release
}

@test "where layers cannot be counted, the possibility is reported" {
	unknown seccomp
	unknown limited
}

# free HOW...: no layers, and that is known.
free() {
	park landlock 0 nnp "$@"
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output != *Landlock* ]]
	release
}

@test "who is in none is seen to be free without a count: with seccomp filters, as another user, each thread" {
	free seccomp
	free limited
	free thread 0
}

@test "a sandbox of a thread's own is reported" {
	park landlock 0 nnp thread 1
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: "*"a Landlock sandbox of a thread's own"* ]]
	release
}
