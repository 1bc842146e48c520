module example.com/deaf

go 1.26
