// Goroutines that compute and sleep, channels, a ticker, a garbage collector at work, an idle
// net poller (a pipe that nobody writes to) and a sub-process.
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func worker(n int, out chan<- [32]byte) {
	sum := sha256.Sum256([]byte{byte(n)})
	for i := 0; i < 200; i++ {
		garbage := make([][]byte, 0)
		for j := 0; j < 20; j++ {
			garbage = append(garbage, append(sum[:], make([]byte, 4096)...))
		}
		sum = sha256.Sum256(garbage[i%20])
		time.Sleep(10 * time.Millisecond)
	}
	out <- sum
}

func main() {
	out := make(chan [32]byte)
	for n := 0; n < 20; n++ {
		go worker(n, out)
	}
	read, write, _ := os.Pipe()
	var idle sync.WaitGroup
	idle.Add(1)
	go func() {
		defer idle.Done()
		n, err := read.Read(make([]byte, 1))
		fmt.Println("the pipe:", n, err)
	}()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	child := exec.Command("sleep", "2")
	if err := child.Start(); err != nil {
		panic(err)
	}

	ticker := time.NewTicker(100 * time.Millisecond)
	var all [32]byte
	for n, ticks := 0, 0; n < 20; {
		select {
		case sum := <-out:
			for i := range all {
				all[i] ^= sum[i]
			}
			n++
		case <-ticker.C:
			if ticks++; ticks == 5 {
				os.WriteFile("ticks", []byte("5\n"), 0o644)
			}
		}
	}
	fmt.Printf("%x\n", all)
	fmt.Println("the child:", child.Wait())
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println("the signal:", <-signals)
	write.Close()
	idle.Wait()
}
