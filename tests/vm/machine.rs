//! A machine under qemu: booted from an image, spoken to by a socket that runs commands in it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::image::Image;

/// Long enough for a boot under emulation on a machine with much else to do.
const BOOT: Duration = Duration::from_secs(300);
/// Long enough for a command in it.
const COMMAND: Duration = Duration::from_secs(180);
/// The port that the machine listens on for commands.
const PORT: u16 = 4444;
/// What the console says when the machine is up, once a boot.
const UP: &str = "setlet-vm: up";
/// The first thing that a kernel says.
const KERNEL: &str = "Linux version";
/// How long a kernel has to say something, where the host's KVM can run it.
const SMOKE: Duration = Duration::from_secs(3);

/// A machine. Dropping it ends it and removes its disk.
pub struct Machine {
    dir: PathBuf,
    image: Image,
    accelerator: &'static str,
    port: u16,
    qemu: Option<Child>,
}

/// What a command in the machine came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit status.
    pub code: i32,
    /// What it printed, errors included.
    pub output: String,
}

impl Machine {
    /// Makes a machine with a disk of its own and boots it.
    pub fn boot(image: &Image, name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("setlet-vm-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory for the machine");
        let disk = dir.join("disk.qcow2");
        run(Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
            .arg(image.disk())
            .arg(&disk));
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let mut machine = Self {
            dir,
            image: image.clone(),
            accelerator: "kvm",
            port,
            qemu: None,
        };
        if !(Path::new("/dev/kvm").exists() && machine.smoke()) {
            machine.accelerator = "tcg,thread=multi";
        }
        machine.power_on();
        machine
    }

    /// Whether the host's KVM runs the kernel: that qemu starts with it proves nothing.
    fn smoke(&mut self) -> bool {
        self.start_qemu();
        let until = Instant::now() + SMOKE;
        let mut alive = false;
        while !alive && Instant::now() < until {
            thread::sleep(Duration::from_millis(50));
            alive = self.console().contains(KERNEL);
        }
        self.power_off();
        alive
    }

    /// Switches it on and waits until it is up.
    pub fn power_on(&mut self) {
        let boots = self.boots();
        self.start_qemu();
        self.wait_up(boots + 1);
    }

    fn start_qemu(&mut self) {
        assert!(self.qemu.is_none(), "the machine is on");
        let console = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("console"))
            .expect("the console's file");
        // Tells the boots apart in the console's file.
        drop(console);
        let append = [
            "root=/dev/vda rw console=ttyS0 net.ifnames=0 TERM=dumb systemd.show_status=0 audit=0",
            "apparmor=0 cryptomgr.notests panic=5",
            // The first loads a module for all that qemu pretends to have; without it no device of
            // a terminal turns up, for which the second would wait 90 s.
            "systemd.mask=systemd-udev-trigger.service systemd.getty_auto=0",
        ]
        .join(" ");
        let serial = format!(
            "file,id=console,path={},append=on",
            self.dir.join("console").display()
        );
        let net = format!(
            "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{}-:{PORT}",
            self.port
        );
        // What the machine has written outlives qemu in any case; the host's disk is not waited for.
        let drive = format!(
            "file={},if=virtio,format=qcow2,cache=unsafe",
            self.dir.join("disk.qcow2").display()
        );
        let child = Command::new("qemu-system-x86_64")
            .args(["-nodefaults", "-no-reboot", "-display", "none"])
            .args(["-m", "2048", "-smp", "2"])
            .args(["-accel", self.accelerator, "-cpu", "max"])
            .arg("-kernel")
            .arg(self.image.kernel())
            .arg("-initrd")
            .arg(self.image.initrd())
            .args(["-append", &append])
            .args([
                "-drive",
                &drive,
                "-chardev",
                &serial,
                "-serial",
                "chardev:console",
            ])
            .args(["-netdev", &net, "-device", "virtio-net-pci,netdev=net"])
            .args(["-device", "virtio-rng-pci"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn();
        self.qemu = Some(child.expect("qemu-system-x86_64"));
    }

    /// Takes the power away, at once.
    pub fn power_off(&mut self) {
        if let Some(mut qemu) = self.qemu.take() {
            qemu.kill().ok();
            qemu.wait().ok();
        }
    }

    /// Has the machine reboot in order, and waits until it is up again.
    ///
    /// With a qemu of its own: a kernel in one that was reset stood still for up to two minutes.
    pub fn reboot(&mut self) {
        self.sh("systemctl reboot --no-block");
        let until = Instant::now() + BOOT;
        while let Ok(None) = self.qemu.as_mut().expect("qemu").try_wait() {
            assert!(
                Instant::now() < until,
                "the machine does not shut down\n{}",
                self.console()
            );
            thread::sleep(Duration::from_millis(50));
        }
        self.qemu = None;
        self.power_on();
    }

    fn wait_up(&mut self, boots: usize) {
        let until = Instant::now() + BOOT;
        while self.boots() < boots {
            let ended = self.qemu.as_mut().expect("qemu").try_wait();
            assert!(
                Instant::now() < until && matches!(ended, Ok(None)),
                "the machine does not come up\n{}",
                self.console()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn boots(&self) -> usize {
        self.console().matches(UP).count()
    }

    /// What the console has said in all boots.
    pub fn console(&self) -> String {
        let console = fs::read(self.dir.join("console")).unwrap_or_default();
        String::from_utf8_lossy(&console).into_owned()
    }

    /// Runs a command in the machine's shell.
    pub fn try_sh(&self, script: &str) -> Answer {
        self.send(script, &[])
            .unwrap_or_else(|error| panic!("{script}: {error}\n{}", self.console()))
    }

    /// As [`try_sh`](Self::try_sh), for a command that must succeed; returns what it printed.
    pub fn sh(&self, script: &str) -> String {
        let answer = self.try_sh(script);
        assert_eq!(answer.code, 0, "{script}\n{}", answer.output);
        answer.output
    }

    /// Writes a file in the machine.
    pub fn put(&self, path: &str, content: &[u8]) {
        let script =
            format!("mkdir -p \"$(dirname {path})\" && cat >{path}.new && mv {path}.new {path}");
        let answer = self.send(&script, content).expect("send a file");
        assert_eq!(answer.code, 0, "{path}: {}", answer.output);
    }

    fn send(&self, script: &str, input: &[u8]) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(COMMAND))?;
        write!(stream, "{}\n{script}", script.len())?;
        stream.write_all(input)?;
        stream.shutdown(Shutdown::Write)?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let (code, output) = text.split_once('\n').unwrap_or_default();
        let code = code.parse().map_err(|_| {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("no answer, but {text:?}"),
            )
        })?;
        Ok(Answer {
            code,
            output: output.to_owned(),
        })
    }

    /// Waits until a command in the machine succeeds; returns what it printed.
    pub fn wait_for(&self, what: &str, script: &str) -> String {
        let until = Instant::now() + COMMAND;
        loop {
            let answer = self.send(script, &[]);
            match answer {
                Ok(Answer { code: 0, output }) => return output,
                last if Instant::now() > until => {
                    let log = self.try_sh("journalctl --no-pager -b -u setlet | tail -n 40");
                    panic!(
                        "not within {COMMAND:?}: {what}; last: {last:?}\n{}",
                        log.output
                    )
                }
                _ => thread::sleep(Duration::from_millis(500)),
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.power_off();
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// Runs a program that must succeed.
pub fn run(command: &mut Command) -> String {
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "{command:?}: {}\n{error}",
        done.status
    );
    String::from_utf8_lossy(&done.stdout).into_owned()
}
