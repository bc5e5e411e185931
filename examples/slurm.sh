#!/bin/bash
# A fit over many hosts: every process reads files of its own, JAX finds the others through SLURM, and process 0 prints
# the table and writes the model. Rows are process 0's, then 1's, and so on; hosts may hold uneven shares.
#
#   sbatch examples/slurm.sh
#
# part-0000.npy, part-0001.npy, ... (float32, the same columns) lie where every host can read its own.

#SBATCH --job-name=jaxgmm
#SBATCH --nodes=16
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue

# --heartbeat: seconds after which a host that is gone ends the others too, and the job with them. Submitted again, it
# goes on from the checkpoint.
export DATA=${DATA:-$PWD/data}
srun bash -c '
  part=$(printf "%04d" "$SLURM_PROCID")
  exec jaxgmm fit "$DATA/part-$part.npy" \
    --processes "$SLURM_NTASKS" --heartbeat 100 \
    --components 16,32,64 --family full --restarts 4 --seed 0 --checkpoint fit.ckpt --resume \
    --output model.npz --labels "labels-$part.npy" --json > "fit-$part.json"
'
