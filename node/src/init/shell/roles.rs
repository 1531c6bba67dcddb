//! Starting the other roles, and what the consoles' role is told.

use std::io;

use super::{Shell, Wake};
use crate::init::child;
use crate::init::machine::{Input, RoleName};
use crate::init::protocol::FromInit;

impl Shell {
    /// Once a turn of the loop, so that changes of one turn are one message.
    pub(super) fn tell_screen(&mut self) {
        let screens = self.connections.of_role(RoleName::Screen.as_str());
        if screens.is_empty() {
            return;
        }
        let shown = self.board.shown();
        if self.shown.as_ref() != Some(&shown) {
            for screen in screens {
                self.send(screen, &FromInit::Board(shown.clone()));
            }
            self.shown = Some(shown);
        }
    }

    pub(super) fn spawn_role(&mut self, role: RoleName) {
        let mut arguments = self.paths.to_args();
        let mut socket = None;
        let started = match role {
            RoleName::Log => child::socket_pair().map(|(ours, theirs)| {
                socket = Some(ours);
                Some(theirs)
            }),
            RoleName::Agent => {
                arguments.extend(self.agent_arguments.iter().cloned());
                Ok(None)
            }
            RoleName::Net | RoleName::Screen | RoleName::Balancer => Ok(None),
        };
        let started = started.and_then(|theirs| {
            let (number, stderr) = self.role_logs.open(role.as_str())?;
            let fd = self.role_logs.fd(number).ok_or(io::ErrorKind::NotFound)?;
            self.watch(fd, Wake::RoleLog(number))?;
            child::spawn_role(role.as_str(), &arguments, theirs, stderr)
        });
        match started {
            Ok(pid) => {
                if let Some(socket) = socket {
                    self.outputs.logger_started(socket);
                    self.watch_new_logger();
                }
                self.inputs.push_back(Input::RoleStarted { role, pid });
            }
            Err(error) => {
                let how = format!("it could not be started: {error}");
                self.inputs.push_back(Input::RoleEnded { role, how });
            }
        }
    }
}
