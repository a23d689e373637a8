# The size of the model, as a program: it replaces settings of train.py.
n_layer = 1
n_embd = 16
batch_size = 4
pause = 0.005  # the model is so small that nobody could watch it otherwise
