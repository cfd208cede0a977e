load lib/zdtm

@test "pidfds of itself, a child, a zombie and a dead process stay what they are" { zdtm pidfd; }

@test "a pidfd of a process outside of the tree is refused, naming both" {
	park pidfd outside
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd "*": anon_inode:[pidfd]: refers to process "*" ("*"), which is not in the tree; --on-unknown-fd="* ]]
	running "$pid"
	crtool dump -R -t "$pid" -D "$(images)" --on-unknown-fd=null:*pidfd*
	release
}

@test "a pidfd of another thread, watched by epoll, tells of its end" {
	threads_have_pidfds || skip "no pidfds of threads here"
	zdtm pidfd thread
}

# refused KIND WORDS
refused() {
	park pidfd "$1"
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (pidfd): fd "*"$2"* ]] || explain "$output"
	running "$pid"
	release
}

@test "a pidfd of a thread that only its process can open again is refused where others need it before" {
	threads_have_pidfds || skip "no pidfds of threads here"
	refused twice ", and is open in more than one process"
	refused flight "anon_inode:[pidfd]: is in flight, too"
	refused closed ", which means another file by now"
}
