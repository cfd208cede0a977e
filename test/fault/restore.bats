# A restore that is killed or ended at any system call of crtool: all or nothing.
load ../zdtm/lib/zdtm
load lib/points

setup() {
	fewer 2
}

@test "killed at any call, a restore of one thread is all or nothing" {
	victim=(fault/steady compute)
	restore_points KILL
}

@test "killed at any call, a restore of five threads is all or nothing" {
	victim=(fault/steady mix 5)
	restore_points KILL
}

@test "killed at any call, a restore of a tree is all or nothing" {
	victim=(fault/family)
	restore_points KILL
}

@test "SIGTERM at any call of a restore: all or nothing" {
	victim=(fault/steady mix 3)
	restore_points TERM
}

fails() {
	fewer 2
	victim=(fault/steady mix 2)
	restore_points "$1"
}

@test "no memory, at any call of a restore: all or nothing" { fails '=ENOMEM'; }
@test "an input or output error, at any call of a restore: all or nothing" { fails '=EIO'; }
@test "too many open files, at any call of a restore: all or nothing" { fails '=EMFILE'; }

@test "no memory, at any call by which a restore lets threads go: they go" {
	victim=(fault/steady mix 2)
	last=40
	restore_points '=ENOMEM'
}
