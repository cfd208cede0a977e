load lib/zdtm

@test "soft and hard limits are kept" { zdtm limit; }

@test "a hard limit above that of crtool is refused by name" {
	park limit
	images=$(images)
	crtool dump -t "$pid" -D "$images"
	within 5 gone "$pid"
	run setpriv --bounding-set -sys_resource --inh-caps -sys_resource bash -c "ulimit -n 900; '$BUILD/crtool' restore -d -D '$images'"
	[ "$status" -ne 0 ]
	[[ $output == *'"Max open files": its hard limit is 1000, that of crtool 900'* ]]
	gone "$pid"
}
