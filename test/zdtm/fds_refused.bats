load lib/zdtm

@test "a kind that is not carried is refused by name, the program runs on" {
	park fds_refused
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (fds_refused): fd 3: socket:["*"] (packet socket): is of the obsolete type SOCK_PACKET: not supported by this version"* ]]
	running "$pid"
	release
}

@test "crtool check lists all that cannot be carried" {
	park fds_refused
	run -4 crtool check -t "$pid"
	[[ ${lines[0]} == *"fd 3: socket:["*"(packet socket)"* ]]
	[[ ${lines[1]} == *"fd 4: socket:["*"netlink"* ]]
	[[ ${lines[2]} == *"fd 5: anon_inode:[fscontext]"* ]]
	[[ ${lines[3]} == *"fd 6: anon_inode:[fscontext]"* ]]
	[[ ${lines[4]} == *"task $pid: cannot be saved: 4 obstacles" ]]
	running "$pid"
}

@test "of a tree it lists those of each process" {
	local child

	park fds_refused tree
	child=$(cat "$dir/child")
	run -4 crtool check -t "$pid"
	[[ ${lines[3]} == *"task $pid (fds_refused): fd 6: anon_inode:[fscontext] (anonymous inode): not supported"* ]]
	[[ ${lines[4]} == *"task $child (fds_refused): fd 7: anon_inode:[fscontext] (anonymous inode): not supported"* ]]
	[[ ${lines[5]} == *"task $pid: cannot be saved: 5 obstacles" ]]
	release
}

@test "O_PATH of what has no path is refused by name, or let go" {
	park fds_opath
	run -4 crtool check -t "$pid"
	[[ $output == *"fd 6: anon_inode:[eventfd] (anonymous inode, open with O_PATH): not supported"* ]] || explain "it said: $output"
	[[ $output == *"fd 7: /crtool-$pid (deleted): is deleted or hidden, and on a file system that crtool does not see"* ]]
	running "$pid"
	dump_with=(--on-unknown-fd 'null')
	dump_running
	release
}

@test "a file whose path is too long for the kernel to tell is refused by name" {
	park fds_opath far
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (fds_opath): fd 4: its path is longer than the 4095 bytes that the kernel tells: not supported; move it to a shorter one"* ]]
	running "$pid"
	release
}
