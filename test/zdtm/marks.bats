load lib/zdtm

@test "a deleted file keeps its attributes, data its life, memfds the seal against execution" {
	accept='\(deleted\)' # made anew, with another inode number
	zdtm marks
}

park_if_supported() {
	park marks "$1" || { [ -e "$dir/unsupported" ] && skip "this file system has none of it"; }
}

@test "what is not carried of inodes is told: immutable, extended attributes of a memfd" {
	park_if_supported locked
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: task $pid (marks): fd 3: $dir/gone (deleted): that it is immutable"* ]]
	release
	park_if_supported xattr
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: "*"memfd:can be executed"*": its extended attributes"* ]]
	release
}
