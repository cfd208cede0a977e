load lib/zdtm

@test "soft and hard limits are kept" { zdtm limit; }

@test "a hard limit above that of crtool is refused by name" {
	park limit
	images=$(images)
	crtool dump -t "$pid" -D "$images"
	within 5 gone "$pid"
	if (ulimit -Hn 900 && ulimit -Hn 901) 2>/dev/null; then
		skip "CAP_SYS_RESOURCE raises any limit"
	fi
	run bash -c "ulimit -n 900; '$BUILD/crtool' restore -d -D '$images'"
	[ "$status" -ne 0 ]
	[[ $output == *'"Max open files": its hard limit is 1000, that of crtool 900'* ]]
	gone "$pid"
}
