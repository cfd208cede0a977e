load lib/zdtm
load lib/netns

setup() {
	netns_plain
	accept='/#[0-9]+ .deleted.' # a file of O_TMPFILE is made anew, its name is its inode number
}

@test "processes share open files of all kinds that one was sent by the other" { zdtm fds_passed; }

@test "processes share open files of all kinds that both have from one that has ended" {
	accept+='|LEASE ACTIVE READ' # of whom the kernel tells the pid
	zdtm fds_passed orphans
}
