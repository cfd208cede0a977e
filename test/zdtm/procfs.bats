load lib/zdtm

@test "files and directories of processes in /proc are open again, at their positions" { zdtm procfs; }

@test "entries of the network, which look deleted when others look at them" {
	accept='/net/(dev|tcp)'
	zdtm procfs net
}

refused() {
	park procfs "$1"
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 3: /proc/"*": $2"* ]] || explain "it said: $output"
	running "$pid"
	release
}

@test "a file of a dead process, a zombie, a descriptor, or of memory that is no more is refused" {
	refused dead "a file of a process or thread that has ended; --on-unknown-fd="
	refused zombie "a file of a zombie: not supported"
	refused fdinfo "a file of a thread, descriptor or mapping in /proc: not supported"
	refused old "the memory of the program that this process was before execve(2): not supported"
}
