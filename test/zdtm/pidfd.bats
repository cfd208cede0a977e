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

@test "a pidfd of another thread is refused" {
	park pidfd thread
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd "*": anon_inode:[pidfd]: refers to thread "*" of task $pid (pidfd), not supported"* ]]
	running "$pid"
	release
}
