NAME        columns
ROWS
 N  Obj     
 G  cover_0 
 G  cover_1 
 L  reservation_0
COLUMNS
    MARK0000  'MARKER'                 'INTORG'
    y_0       Obj       85000
    y_0       cover_0   1
    y_1       Obj       1
    y_1       cover_1   3
    y_1       reservation_0  0.5
    y_2       Obj       31000
    y_2       cover_1   1
    y_3       Obj       66000
    y_3       cover_1   3
    u_0       Obj       824847
    u_0       cover_0   1
    u_1       Obj       258790
    u_1       cover_1   1
    MARK0001  'MARKER'                 'INTEND'
RHS
    RHS_V     cover_0   3
    RHS_V     cover_1   10
    RHS_V     reservation_0  1
BOUNDS
 LI BOUND     y_0       0
 LI BOUND     y_1       0
 LI BOUND     y_2       0
 LI BOUND     y_3       0
 UI BOUND     u_0       3
 UI BOUND     u_1       10
ENDATA
