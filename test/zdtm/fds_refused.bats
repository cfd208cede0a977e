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
