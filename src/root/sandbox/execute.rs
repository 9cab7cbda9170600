//! Our own work on a tree: the steps that are no programs.

use super::{Inputs, Operation, OperationError};

/// Does it; `/` is the tree. The result is bytes whose meaning is the step's.
pub(super) fn execute(operation: &Operation, inputs: &Inputs) -> Result<Vec<u8>, OperationError> {
    match operation {
        Operation::Run(run) => {
            Err(OperationError::Host(format!("{}: a program is not our own work", run.what)))
        }
        Operation::Unpack(unpack) => unpack.execute(inputs),
        Operation::Setup(step) => step.execute(inputs),
        Operation::Tree(step) => step.execute(inputs),
    }
}
