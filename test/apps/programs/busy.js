// The event loop with timers, a worker thread, streams, promises, the thread pool and the JIT.
const { Worker, isMainThread, parentPort } = require('worker_threads');
const { promisify } = require('util');
const crypto = require('crypto');
const fs = require('fs');

if (!isMainThread) {
	let sum = 0;
	parentPort.on('message', (n) => {
		for (let i = 0; i < 300000; i++) sum = (sum * 31 + i * n) % 1000003;
		parentPort.postMessage(sum);
	});
	return;
}

async function hashes() {
	const pbkdf2 = promisify(crypto.pbkdf2);
	const keys = [];
	for (let i = 0; i < 8; i++)
		keys.push(...(await Promise.all([1, 2, 3, 4].map((n) => pbkdf2('secret', `${i} ${n}`, 8000, 16, 'sha512')))));
	return crypto.createHash('sha1').update(Buffer.concat(keys)).digest('hex');
}

async function worker() {
	const thread = new Worker(__filename);
	let sum;
	for (let n = 1; n <= 100; n++) {
		thread.postMessage(n);
		sum = await new Promise((resolve) => thread.once('message', resolve));
	}
	await thread.terminate();
	return sum;
}

function ticks() {
	return new Promise((resolve) => {
		let n = 0;
		const timer = setInterval(() => {
			console.log('tick', ++n);
			if (n === 20) resolve(clearInterval(timer));
		}, 100);
	});
}

function files() {
	return new Promise((resolve) => {
		const digest = crypto.createHash('sha1');
		fs.createReadStream(process.execPath, { end: 20000000 })
			.on('data', (chunk) => digest.update(chunk))
			.on('end', () => resolve(digest.digest('hex')));
	});
}

Promise.all([hashes(), worker(), ticks(), files()]).then((all) => console.log(all.join('\n')));
