load ../zdtm/lib/zdtm

# A victim whose standard output is a log that it has open for appending.
log_and_dump() {
	park park
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	echo "somebody else" >>"$dir/out"
}

@test "a log that has grown is refused, naming the policy that accepts it" {
	log_and_dump
	run -4 crtool restore -d -D "$to"
	[[ $output == *"$dir/out"*"grew by 14 bytes since the dump; --file-policy=append accepts that"* ]]
	gone "$pid"
}

@test "--file-policy append accepts it, the program goes on at the end" {
	log_and_dump
	crtool restore -d --file-policy append -D "$to"
	release
	grep -q "somebody else" "$dir/out"
}

@test "--file-policy any accepts a file that shrank" {
	log_and_dump
	: >"$dir/out"
	crtool restore -d --file-policy=any -D "$to"
	release
}

@test "a policy that there is not" {
	run -2 crtool restore --file-policy most
	[[ $output == *"--file-policy most: is none of exact, append, any"* ]]
}
