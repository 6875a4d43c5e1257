NAME        resource-lp
ROWS
 N  Obj     
 L  shape_0 
 L  shape_1 
 L  shape_2 
COLUMNS
    p_0_0     Obj       -1.69230769230769
    p_0_0     shape_0   0.487179487179487
    p_0_0     shape_1   1
    p_0_0     shape_2   1
    p_0_1     Obj       -0.503937007874016
    p_0_1     shape_0   0.118110236220472
    p_0_1     shape_1   0.244094488188976
    p_0_1     shape_2   1
    p_0_2     Obj       -0.15
    p_0_2     shape_0   1
    p_0_2     shape_1   1
    p_0_2     shape_2   1
    q_0       Obj       1
    q_0       shape_0   -0.25
    q_0       shape_1   -0.5
    q_0       shape_2   -0.5
RHS
    RHS_V     shape_0   0.085
    RHS_V     shape_1   0.17
    RHS_V     shape_2   0.252
BOUNDS
 UP BOUND     p_0_0     10000
 UP BOUND     p_0_1     10000
 UP BOUND     p_0_2     10000
 UP BOUND     q_0       1000000
ENDATA
